// What pages are made of. Charts are in chart.tsx, which brings their library along.

export { Button, LinkButton, type ButtonProps } from "./button.tsx";
export { CheckField, Choice, Field, SelectField, TextField } from "./field.tsx";
export { Confirm, Dialog } from "./dialog.tsx";
export { Empty, LoadError, Notice } from "./notice.tsx";
export { Progress, Spinner } from "./progress.tsx";
export { Table, type Column } from "./table.tsx";
export { Badge, Bytes, CopyText, Count, Heading, Time } from "./text.tsx";
