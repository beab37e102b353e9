import type { JsonValue } from "@bufbuild/protobuf";

/** The parsed comment of a proto element. Texts are CommonMark. */
export interface Comment {
  /** The first paragraph. */
  readonly summary: string;
  /** The other paragraphs, without the example. */
  readonly description: string;
  /** Summary and description. */
  readonly text: string;
  /** The JSON after `Example:`. */
  readonly example: JsonValue | undefined;
  /** The length of a string field: the comment says `1 to 200 characters`. */
  readonly characters: { readonly min: number; readonly max: number } | undefined;
}

/**
 * Parses a comment, which may contain two conventions: a paragraph of `Example:` with a JSON value, and the phrase
 * `N to M characters`.
 *
 * @throws Error that names the element, if the example is not JSON or there are two lengths.
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

/** Joins the lines of a paragraph, except for lists and code. */
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
  if (found.length > 1) throw new Error(`the comment of ${element} has two lengths`);
  const [limits] = found;
  return limits && { min: Number(limits[1]), max: Number(limits[2]) };
}
