import type { ComponentChildren, JSX } from "preact";

export interface Column<R> {
  title: ComponentChildren;
  cell: (row: R) => ComponentChildren;
  /** Figures stand on the right. */
  isNumber?: boolean;
  /** Names the row: a `<th scope="row">`. */
  isHeading?: boolean;
}

interface TableProps<R> {
  /** What it is a table of; said to who can not see it, and shown with `showCaption`. */
  caption: string;
  showCaption?: boolean;
  columns: readonly Column<R>[];
  rows: readonly R[];
  rowKey: (row: R) => string | number;
  /** Instead of rows when there are none. */
  empty?: ComponentChildren;
}

/** Wide tables scroll by themselves, never the page; the keyboard reaches them for that. */
export function Table<R>({ caption, showCaption = false, columns, rows, rowKey, empty }: TableProps<R>): JSX.Element {
  return (
    <div class="table" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption class={showCaption ? undefined : "unseen"}>{caption}</caption>
        <thead>
          <tr>{columns.map((column, index) => <th key={index} scope="col" class={column.isNumber ? "number" : undefined}>{column.title}</th>)}</tr>
        </thead>
        <tbody>
          {rows.length === 0 && <tr><td colSpan={columns.length} class="none">{empty ?? "None."}</td></tr>}
          {rows.map((row) => (
            <tr key={rowKey(row)}>
              {columns.map((column, index) => column.isHeading
                ? <th key={index} scope="row">{column.cell(row)}</th>
                : <td key={index} class={column.isNumber ? "number" : undefined}>{column.cell(row)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
