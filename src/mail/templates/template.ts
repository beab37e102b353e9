/** A text with `{{name}}` variables, without any other logic. */
export interface Template {
  /** Unique names. */
  readonly variables: readonly string[];
  /** Inserts the values, each escaped by `makeSafe`. Variables inside values are not replaced. */
  render(values: Readonly<Record<string, string>>, makeSafe?: (value: string) => string): string;
}

/** @throws TemplateError if a `{{` doesn't begin a variable. */
export function parseTemplate(source: string): Template {
  // Alternates between texts and names.
  const parts = source.split(/\{\{ *(\w+) *\}\}/);
  const stray = parts.filter((_, index) => index % 2 === 0).find((text) => text.includes("{{"));
  if (stray !== undefined) {
    const shown = stray.slice(stray.indexOf("{{"), stray.indexOf("{{") + 20);
    throw new TemplateError(`has ${JSON.stringify(shown)}: only {{name}} is a variable`);
  }
  const variables = [...new Set(parts.filter((_, index) => index % 2 === 1))];
  return {
    variables,
    render: (values, makeSafe = (value) => value) =>
      parts.map((part, index) => (index % 2 === 0 ? part : makeSafe(valueIn(values, part)))).join(""),
  };
}

/** The message completes a sentence that begins with the name of the file, such as `has an unknown key …`. */
export class TemplateError extends Error {}

function valueIn(values: Readonly<Record<string, string>>, name: string): string {
  const value = Object.hasOwn(values, name) ? values[name] : undefined;
  if (value === undefined) throw new Error(`a template has an unknown variable ${name}`);
  return value;
}
