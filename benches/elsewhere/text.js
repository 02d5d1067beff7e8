import peer from "../peers/text.js";
import { elsewhere } from "./bucket.js";

export default { fetch: (request, env) => peer.fetch(request, elsewhere(env)) };
