import { readFileSync } from 'node:fs'
import { parser } from '@prometheus-io/lezer-promql'
import { expect, it } from 'vitest'
import { parse } from 'yaml'

const textOf = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

interface Dashboard {
  panels: { title: string; targets?: { expr: string }[] }[]
}
interface Alerts {
  groups: { rules: { alert: string; expr: string }[] }[]
}

const shown = (JSON.parse(textOf('grafana-dashboard.json')) as Dashboard).panels.flatMap(
  ({ title, targets = [] }) => targets.map(({ expr }) => ({ name: title, expr })),
)
const asked = (parse(textOf('alerts.yaml')) as Alerts).groups.flatMap(({ rules }) =>
  rules.map(({ alert, expr }) => ({ name: alert, expr })),
)

/** Where an expression is no PromQL, by Prometheus' own grammar. Grafana puts its variables in before it asks. */
function faultsOf(expression: string): number[] {
  const faults: number[] = []
  parser.parse(expression.replaceAll('$__rate_interval', '5m')).iterate({
    enter: ({ type, from }) => {
      if (type.isError) faults.push(from)
    },
  })
  return faults
}

it('every expression of the dashboard and of the alerts is PromQL', () => {
  expect(shown.length).toBeGreaterThan(40)
  expect(asked.length).toBeGreaterThan(15)
  const wrong = [...shown, ...asked].filter(({ expr }) => faultsOf(expr).length > 0)
  expect(wrong).toEqual([])
})

it('what is no PromQL is found', () => {
  for (const text of ['sum by (le (rate(x[5m]))', 'rate(x[5m)', 'x{job=}', 'max(x) >', 'rate(x[5 apples])'])
    expect([text, faultsOf(text).length > 0]).toEqual([text, true])
})
