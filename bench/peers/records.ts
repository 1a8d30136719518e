/** The objects that a backlog is spread over. */
export const objectNames = ['Contact', 'Account', 'Lead', 'Opportunity', 'Case'] as const
export type ObjectName = (typeof objectNames)[number]

const days = 28

/** A record that the org takes, of the size of an ordinary one; the same index gives the same record. */
export function recordOf(object: ObjectName, index: number): Record<string, string | number> {
  switch (object) {
    case 'Contact':
      return {
        FirstName: 'Aroha',
        LastName: `Ngata ${index}`,
        Email: `person.${index}@example.com`,
        Score__c: index % 100,
      }
    case 'Account':
      return { Name: `Fjord Works ${index}`, Industry: 'Energy', NumberOfEmployees: 10 + (index % 5_000) }
    case 'Lead':
      return { LastName: `Okafor ${index}`, Company: 'Granite', Email: `lead.${index}@example.com` }
    case 'Opportunity':
      return {
        Name: `Granite renewal ${index}`,
        StageName: 'Prospecting',
        CloseDate: `2027-06-${String(1 + (index % days)).padStart(2, '0')}`,
        Amount: 100 * (1 + (index % 900)),
      }
    case 'Case':
      return { Subject: `Question ${index}`, Origin: 'Web', Description: 'Where is my order?' }
  }
}
