// Whether this is a development build. Bundlers put a constant in place of `process.env.NODE_ENV`; a page without a
// bundler has no `process`, and counts as production.

function isDevelopment(): boolean {
  try {
    return process.env.NODE_ENV !== 'production';
  } catch {
    return false;
  }
}

export const DEVELOPMENT: boolean = /* @__PURE__ */ isDevelopment();
