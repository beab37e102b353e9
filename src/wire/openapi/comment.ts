import type { JsonValue } from "@bufbuild/protobuf";

/** What the comment of a proto element says, for a reference. Texts are CommonMark. */
export interface Comment {
  /** The first paragraph. */
  readonly summary: string;
  /** What follows it, without the example. */
  readonly description: string;
  /** Both. */
  readonly text: string;
  /** The JSON behind `Example:`. */
  readonly example: JsonValue | undefined;
  /** The limits of a text: wherever the comment says `1 to 200 characters`. */
  readonly characters: { readonly min: number; readonly max: number } | undefined;
}

/**
 * Reads a comment. Two phrases of it are read by machines, too: a paragraph that is `Example:` and the JSON of a value,
 * and `N to M characters`.
 *
 * @throws Error that names the element, if the example is not JSON or the limits are two.
 */
export function parseComment(element: string, comment: string): Comment {
  const all = comment.split(/\n{2,}/).map(unwrap);
  const paragraphs = all.filter((paragraph) => !paragraph.startsWith(exampleMark));
  const [summary = "", ...rest] = paragraphs;
  const text = paragraphs.join("\n\n");
  const examples = all.filter((paragraph) => paragraph.startsWith(exampleMark));
  return {
    summary,
    description: rest.join("\n\n"),
    text,
    example: examples[0] === undefined ? undefined : parseExample(element, examples[0]),
    characters: parseCharacters(element, text),
  };
}

const exampleMark = "Example: ";

/** Joins the lines of a paragraph, but for those of a list and of code. */
function unwrap(paragraph: string): string {
  return paragraph.replace(/\n(?![-*\s])/g, " ");
}

function parseExample(element: string, paragraph: string): JsonValue {
  try {
    return JSON.parse(paragraph.slice(exampleMark.length)) as JsonValue;
  } catch {
    throw new Error(`the example of ${element} is not JSON`);
  }
}

function parseCharacters(element: string, text: string): Comment["characters"] {
  const found = [...text.matchAll(/\b(\d{1,6}) to (\d{1,6}) characters\b/g)];
  if (found.length > 1) throw new Error(`the comment of ${element} gives its characters twice`);
  const [limits] = found;
  return limits && { min: Number(limits[1]), max: Number(limits[2]) };
}
