import { engagementObjects } from './engagement-objects.ts'
import type { FieldInput, FieldValues, ObjectInput, ValidationRule } from './schema.ts'

const required = { nillable: false } as const
const readOnly = { createable: false, updateable: false } as const

const text = (name: string, length = 255, more: Partial<FieldInput> = {}): FieldInput => ({
  name,
  type: 'string',
  length,
  ...more,
})

const longText = (name: string, length = 32_000): FieldInput => ({ name, type: 'textarea', length })

const picklist = (name: string, values: string[], more: Partial<FieldInput> = {}): FieldInput => ({
  name,
  type: 'picklist',
  picklistValues: values,
  ...more,
})

const money = (name: string, precision = 18, scale = 2): FieldInput => ({
  name,
  type: 'currency',
  precision,
  scale,
})

const lookup = (name: string, referenceTo: string[], more: Partial<FieldInput> = {}): FieldInput => ({
  name,
  type: 'reference',
  referenceTo,
  ...more,
})

const simple = (type: FieldInput['type'], ...names: string[]): FieldInput[] =>
  names.map((name) => ({ name, type }))

const owner = (): FieldInput => lookup('OwnerId', ['User'], { nillable: false, defaultedOnCreate: true })

/** The custom fields that every object of the simulator has. */
export const commonFields = (): FieldInput[] => [
  text('External_Id__c', 255, { label: 'External Id', externalId: true, unique: true }),
  text('Region_Key__c', 100, { label: 'Region Key', externalId: true }),
  text('Case_Key__c', 100, { label: 'Case Key', externalId: true, unique: true, caseSensitive: true }),
  text('Write_Id__c', 64, { label: 'Write Id', externalId: true, unique: true }),
  { name: 'Score__c', label: 'Score', type: 'double', precision: 10, scale: 2 },
  { name: 'Synced_At__c', label: 'Synced At', type: 'datetime' },
  { ...longText('Notes__c'), label: 'Notes' },
]

/** The validation rules that every object of the simulator has. */
export const commonRules = (): ValidationRule[] => [
  {
    message: 'Notes must not say REJECT.',
    field: 'Notes__c',
    fails: (values) => typeof values.Notes__c === 'string' && values.Notes__c.includes('REJECT'),
  },
  {
    message: 'Score must not be negative.',
    field: 'Score__c',
    fails: (values) => typeof values.Score__c === 'number' && values.Score__c < 0,
  },
]

const industries = [
  'Agriculture',
  'Banking',
  'Biotechnology',
  'Construction',
  'Education',
  'Energy',
  'Finance',
  'Healthcare',
  'Insurance',
  'Manufacturing',
  'Media',
  'Retail',
  'Technology',
  'Telecommunications',
  'Other',
]
const leadSources = ['Web', 'Phone Inquiry', 'Partner Referral', 'Purchased List', 'Other']
const ratings = ['Hot', 'Warm', 'Cold']

const address = (prefix: string): FieldInput[] => [
  { name: `${prefix}Street`, type: 'textarea' },
  text(`${prefix}City`, 40),
  text(`${prefix}State`, 80),
  text(`${prefix}PostalCode`, 20),
  text(`${prefix}Country`, 80),
]

const personName = (values: FieldValues): string =>
  [values.FirstName, values.LastName].filter((part) => typeof part === 'string').join(' ')

const account = (): ObjectInput => ({
  name: 'Account',
  keyPrefix: '001',
  fields: [
    text('Name', 255, { label: 'Account Name', ...required }),
    text('AccountNumber', 40),
    picklist('Type', ['Prospect', 'Customer', 'Partner', 'Other'], { label: 'Account Type' }),
    picklist('Industry', industries, { restrictedPicklist: true }),
    picklist('Rating', ratings),
    money('AnnualRevenue', 18, 0),
    { name: 'NumberOfEmployees', label: 'Employees', type: 'int', precision: 8 },
    ...simple('phone', 'Phone', 'Fax'),
    ...simple('url', 'Website'),
    ...address('Billing'),
    longText('Description'),
    lookup('ParentId', ['Account'], { label: 'Parent Account ID' }),
    owner(),
  ],
})

const contact = (): ObjectInput => ({
  name: 'Contact',
  keyPrefix: '003',
  derived: { Name: personName },
  fields: [
    text('Name', 121, { label: 'Full Name', ...readOnly }),
    picklist('Salutation', ['Mr.', 'Ms.', 'Mrs.', 'Dr.', 'Prof.']),
    text('FirstName', 40),
    text('LastName', 80, required),
    { name: 'Email', type: 'email', idLookup: true },
    ...simple('phone', 'Phone', 'MobilePhone', 'Fax'),
    text('Title', 128),
    text('Department', 80),
    ...simple('date', 'Birthdate'),
    picklist('LeadSource', leadSources),
    ...address('Mailing'),
    ...simple('boolean', 'DoNotCall', 'HasOptedOutOfEmail'),
    longText('Description'),
    lookup('AccountId', ['Account']),
    lookup('ReportsToId', ['Contact']),
    owner(),
  ],
})

const lead = (): ObjectInput => ({
  name: 'Lead',
  keyPrefix: '00Q',
  derived: { Name: personName },
  fields: [
    text('Name', 121, { label: 'Full Name', ...readOnly }),
    text('FirstName', 40),
    text('LastName', 80, required),
    text('Company', 255, required),
    { name: 'Email', type: 'email', idLookup: true },
    ...simple('phone', 'Phone', 'MobilePhone'),
    ...simple('url', 'Website'),
    text('Title', 128),
    picklist(
      'Status',
      ['Open - Not Contacted', 'Working - Contacted', 'Closed - Converted', 'Closed - Not Converted'],
      {
        restrictedPicklist: true,
        nillable: false,
        defaultValue: 'Open - Not Contacted',
      },
    ),
    picklist('LeadSource', leadSources),
    picklist('Industry', industries),
    picklist('Rating', ratings),
    money('AnnualRevenue', 18, 0),
    { name: 'NumberOfEmployees', label: 'Employees', type: 'int', precision: 8 },
    ...address(''),
    { name: 'IsConverted', label: 'Converted', type: 'boolean', ...readOnly },
    ...simple('boolean', 'DoNotCall', 'HasOptedOutOfEmail'),
    longText('Description'),
    owner(),
  ],
})

const openStages = [
  'Prospecting',
  'Qualification',
  'Needs Analysis',
  'Proposal/Price Quote',
  'Negotiation/Review',
]

const opportunity = (): ObjectInput => ({
  name: 'Opportunity',
  labelPlural: 'Opportunities',
  keyPrefix: '006',
  derived: {
    IsClosed: (values) => values.StageName === 'Closed Won' || values.StageName === 'Closed Lost',
    IsWon: (values) => values.StageName === 'Closed Won',
  },
  fields: [
    text('Name', 120, required),
    picklist('StageName', [...openStages, 'Closed Won', 'Closed Lost'], {
      label: 'Stage',
      restrictedPicklist: true,
      ...required,
    }),
    { name: 'CloseDate', type: 'date', ...required },
    money('Amount'),
    { name: 'Probability', label: 'Probability (%)', type: 'percent', precision: 3 },
    picklist('Type', ['New Customer', 'Existing Customer - Upgrade', 'Existing Customer - Replacement']),
    picklist('LeadSource', leadSources),
    text('NextStep'),
    longText('Description'),
    { name: 'IsClosed', label: 'Closed', type: 'boolean', ...readOnly },
    { name: 'IsWon', label: 'Won', type: 'boolean', ...readOnly },
    lookup('AccountId', ['Account']),
    owner(),
  ],
})

const quote = (): ObjectInput => ({
  name: 'Quote',
  keyPrefix: '0Q0',
  fields: [
    text('Name', 255, required),
    text('QuoteNumber', 40, { autoNumber: true, ...readOnly, nillable: false, defaultedOnCreate: true }),
    lookup('OpportunityId', ['Opportunity'], { ...required, updateable: false }),
    picklist('Status', [
      ...['Draft', 'Needs Review', 'In Review', 'Approved'],
      ...['Rejected', 'Presented', 'Accepted', 'Denied'],
    ]),
    { name: 'ExpirationDate', type: 'date' },
    // The sum as the document of the scripts reads it; given here, where quotes have no lines to add up.
    money('TotalAmount'),
    lookup('ContactId', ['Contact']),
    longText('Description'),
    owner(),
  ],
})

const supportCase = (): ObjectInput => ({
  name: 'Case',
  keyPrefix: '500',
  derived: { IsClosed: (values) => values.Status === 'Closed' },
  fields: [
    text('CaseNumber', 30, {
      autoNumber: true,
      ...readOnly,
      nillable: false,
      defaultedOnCreate: true,
      idLookup: true,
    }),
    text('Subject'),
    picklist('Status', ['New', 'Working', 'Escalated', 'Closed'], { defaultValue: 'New' }),
    picklist('Priority', ['High', 'Medium', 'Low'], { restrictedPicklist: true, defaultValue: 'Medium' }),
    picklist('Origin', ['Phone', 'Email', 'Web']),
    picklist('Type', ['Question', 'Problem', 'Feature Request']),
    { name: 'SuppliedEmail', label: 'Web Email', type: 'email' },
    ...simple('boolean', 'IsEscalated'),
    { name: 'IsClosed', label: 'Closed', type: 'boolean', ...readOnly },
    longText('Description'),
    lookup('ContactId', ['Contact']),
    lookup('AccountId', ['Account']),
    lookup('ParentId', ['Case'], { label: 'Parent Case ID' }),
    owner(),
  ],
})

const task = (): ObjectInput => ({
  name: 'Task',
  keyPrefix: '00T',
  derived: { IsClosed: (values) => values.Status === 'Completed' },
  fields: [
    text('Subject'),
    picklist('Status', ['Not Started', 'In Progress', 'Completed', 'Waiting on someone else', 'Deferred'], {
      restrictedPicklist: true,
      nillable: false,
      defaultValue: 'Not Started',
    }),
    picklist('Priority', ['High', 'Normal', 'Low'], { nillable: false, defaultValue: 'Normal' }),
    { name: 'ActivityDate', label: 'Due Date Only', type: 'date' },
    ...simple('boolean', 'IsReminderSet'),
    ...simple('datetime', 'ReminderDateTime'),
    ...simple('int', 'CallDurationInSeconds'),
    { name: 'IsClosed', label: 'Closed', type: 'boolean', ...readOnly },
    longText('Description'),
    lookup('WhoId', ['Contact', 'Lead'], { label: 'Name ID' }),
    lookup('WhatId', ['Account', 'Opportunity', 'Case', 'Invoice__c'], { label: 'Related To ID' }),
    owner(),
  ],
})

const invoice = (): ObjectInput => ({
  name: 'Invoice__c',
  keyPrefix: 'a00',
  fields: [
    text('Name', 80, { label: 'Invoice Name', defaultedOnCreate: true, idLookup: true }),
    money('Amount__c', 16, 2),
    picklist('Status__c', ['Draft', 'Sent', 'Paid', 'Void'], {
      restrictedPicklist: true,
      defaultValue: 'Draft',
    }),
    ...simple('date', 'Due_Date__c'),
    ...simple('boolean', 'Paid__c'),
    lookup('Account__c', ['Account'], { label: 'Account' }),
    owner(),
  ],
})

const user = (): ObjectInput => ({
  name: 'User',
  keyPrefix: '005',
  writable: false,
  fields: [
    text('Username', 80, required),
    { name: 'Email', type: 'email' },
    ...simple('boolean', 'IsActive'),
  ],
})

/**
 * The objects of a fresh org: seven standard ones, a custom one and those of engagement interactions, all with the
 * common fields and rules, and User.
 */
export const standardObjects = (): ObjectInput[] => [
  ...[
    ...[account(), contact(), lead(), opportunity(), quote(), supportCase(), task(), invoice()],
    ...engagementObjects(),
  ].map((object) => ({
    ...object,
    fields: [...object.fields, ...commonFields()],
    validationRules: commonRules(),
  })),
  user(),
]
