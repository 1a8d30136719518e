import { createHash } from 'node:crypto'

/** The one style of the pages, for light and dark, from the width of a phone on. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #f3f5f9; --card: #fff; --text: #16202e; --soft: #526075; --line: #8491a5; --accent: #0b5cab;
  --on-accent: #fff; --tint: #eef5fd; --bad: #a4161a; --bad-tint: #fdf0f0; --good: #17693b; --good-tint: #edf8f1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e141d; --card: #18212e; --text: #e8eef7; --soft: #a9b6c8; --line: #6d7c92; --accent: #7cbcff;
    --on-accent: #06203b; --tint: #1c2f45; --bad: #ff9d9d; --bad-tint: #3a1d21; --good: #7fdba6; --good-tint: #163425;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; padding: 2rem 1rem; display: flex; flex-direction: column; align-items: center;
  justify-content: center; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main {
  width: 100%; max-width: 30rem; padding: 2rem; background: var(--card); border-radius: 1rem;
  box-shadow: 0 1px 2px rgb(15 23 42 / 12%), 0 12px 32px rgb(15 23 42 / 10%);
}
.mark { display: flex; justify-content: center; margin-bottom: 1.5rem; }
.mark span {
  display: grid; place-items: center; width: 3rem; height: 3rem; border-radius: .75rem; background: var(--tint);
  color: var(--accent);
}
.mark .good { background: var(--good-tint); color: var(--good); }
.mark .bad { background: var(--bad-tint); color: var(--bad); }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25; text-align: center; text-wrap: balance; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
.lead { color: var(--soft); text-align: center; text-wrap: pretty; }
.lead strong { color: var(--text); }
fieldset { margin: 1.5rem 0 0; padding: 0; border: 0; }
legend { padding: 0; margin-bottom: .5rem; font-weight: 600; }
.choice {
  display: flex; gap: .75rem; align-items: flex-start; padding: .75rem 1rem; margin-bottom: .5rem;
  border: 1px solid var(--line); border-radius: .6rem; cursor: pointer;
}
.choice:has(:checked) { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); background: var(--tint); }
.choice:has(:focus-visible) { outline: 3px solid var(--accent); outline-offset: 2px; }
.choice input { width: 1.15rem; height: 1.15rem; margin: .2rem 0 0; flex: none; accent-color: var(--accent); }
.choice input:focus-visible { outline: none; }
.choice b { display: block; font-weight: 600; }
.hint { color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
.field { margin: .75rem 0 0; }
@supports selector(:has(*)) {
  form:not(:has(#my-domain:checked)) .field { display: none; }
}
.field label { display: block; font-weight: 600; }
.field input {
  width: 100%; margin: .25rem 0; padding: .6rem .75rem; font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem;
}
.field input[aria-invalid] { border-color: var(--bad); }
.button {
  display: block; width: 100%; margin-top: 1.5rem; padding: .75rem 1rem; border: 0; border-radius: .6rem; font: inherit;
  font-weight: 600; text-align: center; text-decoration: none; background: var(--accent); color: var(--on-accent); cursor: pointer;
}
.button:hover { filter: brightness(1.08); }
:is(a, button, input):focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.note, .alert { padding: .75rem 1rem; border-radius: .6rem; margin: 1.25rem 0 1rem; background: var(--tint); }
.alert { background: var(--bad-tint); }
.alert p, .note p { margin: 0; }
.alert p + p { margin-top: .5rem; }
.small { margin: 1.25rem 0 0; color: var(--soft); font-size: .9rem; text-align: center; text-wrap: pretty; }
a { color: var(--accent); }
@media (max-width: 30rem) {
  body { padding: 0; justify-content: flex-start; background: var(--card); }
  main { padding: 1.5rem 1.25rem; border-radius: 0; box-shadow: none; }
}
@media (forced-colors: active) { .button { border: 1px solid; } main { border: 1px solid; } }
`

/** By what a page may have that style, and no other. */
export const styleHash = `'sha256-${createHash('sha256').update(style).digest('base64')}'`
