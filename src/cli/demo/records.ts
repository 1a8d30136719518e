import type { FieldValue } from '../../simulator/schema.ts'

/** The objects that the demo writes to. */
export const demoObjects = ['Account', 'Contact', 'Opportunity'] as const
export type DemoObject = (typeof demoObjects)[number]

/** Field values as a caller sends them. */
export type Values = Record<string, FieldValue>

/** The field that every write marks its record with, so that the record can be told as its own. */
export const markerField = 'Notes__c'
/** The external id of every upsert. */
export const keyField = 'External_Id__c'

/** Draws from a list. */
export type Draw = <T>(list: readonly T[]) => T

const firstNames = ['Aroha', 'Bram', 'Chiara', 'Deniz', 'Emeka', 'Freya', 'Goran', 'Hana'] as const
const lastNames = ['Ngata', 'de Vries', 'Rossi', 'Yılmaz', 'Okafor', 'Lindqvist', 'Novák', 'Sato'] as const
const companies = ['Alder', 'Basalt', 'Cirrus', 'Delta', 'Ember', 'Fjord', 'Granite', 'Harbour'] as const
const industries = ['Banking', 'Energy', 'Healthcare', 'Media', 'Retail', 'Technology'] as const
const stages = ['Prospecting', 'Qualification', 'Needs Analysis', 'Closed Won'] as const

/** A record that the org takes, with every field that it requires; `marker` makes it unlike any other. */
export function wholeRecord(object: DemoObject, index: number, marker: string, draw: Draw): Values {
  switch (object) {
    case 'Account':
      return {
        Name: `${draw(companies)} Works ${index}`,
        Industry: draw(industries),
        NumberOfEmployees: 10 + (index % 5_000),
        [markerField]: marker,
      }
    case 'Contact':
      return {
        FirstName: draw(firstNames),
        LastName: draw(lastNames),
        Email: `person.${index}@example.com`,
        Score__c: index,
        [markerField]: marker,
      }
    case 'Opportunity':
      return {
        Name: `${draw(companies)} renewal ${index}`,
        StageName: draw(stages),
        CloseDate: `2027-${String(1 + (index % 12)).padStart(2, '0')}-15`,
        Amount: 100 * (1 + (index % 900)),
        [markerField]: marker,
      }
  }
}

/** Some changed fields of a record. */
export function someFields(object: DemoObject, index: number, marker: string, draw: Draw): Values {
  const whole = wholeRecord(object, index, marker, draw)
  const changed = { Account: 'Industry', Contact: 'Score__c', Opportunity: 'Amount' }[object]
  return { [changed]: whole[changed] ?? null, [markerField]: marker }
}
