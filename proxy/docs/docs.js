// Shows openapi.json with Swagger UI. Without inline scripts, a page needs this file.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// Swagger UI sends each field of a form that was left empty.
const withoutEmptyFields = (request) => {
  if (request.body instanceof FormData) {
    [...request.body].filter(([, value]) => value === "").forEach(([name]) => request.body.delete(name));
  }
  return request;
};

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#document",
  deepLinking: true,
  displayRequestDuration: true,
  requestInterceptor: withoutEmptyFields,
  syntaxHighlight: false, // of two masks in rows it would stall the browser
  validatorUrl: null, // no other host is asked
});
