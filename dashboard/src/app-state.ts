// Whether the reader has gone anywhere yet: the first page that is shown leaves the focus where the browser put it.

let shown = 0;

export const pageShown = (): void => void (shown += 1);
export const isFirstPage = (): boolean => shown <= 1;
