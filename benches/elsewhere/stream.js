import peer from "../peers/stream.js";
import { elsewhere } from "./bucket.js";

export default { fetch: (request, env) => peer.fetch(request, elsewhere(env)) };
