import Type, { type Static } from 'typebox'
import { ConnectionStatus } from './connections.ts'
import { GroupRef, Id, IntegrationPath, ProviderName, Time } from './fields.ts'

/** When a field is written, and with what where the caller gives nothing. */
export interface FieldSetting {
  default?: { stringValue?: string; integerValue?: number; booleanValue?: boolean }
  writeOnCreate?: 'always' | 'never'
  writeOnUpdate?: 'always' | 'never' | 'ifEmpty'
}

/** A named way of writing an object. */
export interface ProcedureEntry {
  fields?: string[]
  values?: Record<string, string | number | boolean | null>
  allOrNone?: boolean
  allowDuplicates?: boolean
  mode?: 'synchronous' | 'asynchronous'
}

/** What holds where the configuration says nothing, as the model has it. */
const defaultSettings = { packing: 'riders', apiBudgetPercent: 90 }

/** How one object may be written. */
export const WriteObject = Type.Object(
  {
    objectName: Type.String({
      minLength: 1,
      maxLength: 255,
      format: 'object-name',
      description: "The provider's name of the object; the same as the entry's key.",
      examples: ['Account'],
    }),
    deletionSettings: Type.Optional(
      Type.Object(
        { enabled: Type.Boolean({ description: 'Whether records may be deleted.' }) },
        {
          additionalProperties: false,
        },
      ),
    ),
    mapToName: Type.Optional(
      Type.String({
        description: "The caller's name for the object, usable in the path.",
        examples: ['company'],
      }),
    ),
    fieldMappings: Type.Optional(
      Type.Unsafe<Record<string, string>>({
        type: 'object',
        additionalProperties: true,
        description: "The caller's field names, each with the provider's.",
        examples: [{ email: 'Email' }],
      }),
    ),
    selectedFieldSettings: Type.Optional(
      Type.Unsafe<Record<string, FieldSetting>>({
        type: 'object',
        additionalProperties: true,
        description:
          'By field: `default` (exactly one of `stringValue`, `integerValue`, `booleanValue`), `writeOnCreate` and `writeOnUpdate` (`always` or `never`; for `writeOnUpdate` also `ifEmpty`: only where the record has no value yet).',
        examples: [{ LeadSource: { default: { stringValue: 'Web' }, writeOnUpdate: 'never' } }],
      }),
    ),
    idempotencyField: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        format: 'object-name',
        description:
          "An external-id field of the object, kept for this service: creates are sent as upserts keyed by the write's id in it, so that one whose answer was lost can be sent again without a duplicate.",
        examples: ['Write_Id__c'],
      }),
    ),
    parentFields: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 255, format: 'object-name' }), {
        minItems: 1,
        maxItems: 4,
        description:
          'Lookup fields whose record the org locks when a record of this object is saved: master-detail parents, and those of roll-up summaries. Records of one parent are sent together, and never in two calls at once. Those of standard objects are known.',
        examples: [['Invoice__c']],
      }),
    ),
    procedures: Type.Optional(
      Type.Unsafe<Record<string, ProcedureEntry>>({
        type: 'object',
        additionalProperties: true,
        description:
          "Named ways of writing the object, for `storedProcedure` of the records call: `fields` (those that a caller may give; any when absent), `values` (by field: what it is set to, whatever the caller gives), `allOrNone`, `allowDuplicates` and `mode`, which wins over the caller's.",
        examples: [
          { SelectQuote: { fields: ['CustomerSelectedQuote__c'], values: { StageName: 'Negotiation' } } },
        ],
      }),
    ),
  },
  { additionalProperties: false, title: 'WriteObject' },
)
export type WriteObject = Static<typeof WriteObject>

const Objects = Type.Unsafe<Record<string, WriteObject>>({
  type: 'object',
  propertyNames: { type: 'string', maxLength: 255, format: 'object-name' },
  additionalProperties: WriteObject,
  description:
    'By object name. When absent, every object may be created, updated and upserted, and none deleted; when present, only those listed.',
})

const WriteSettings = Type.Object(
  {
    objects: Type.Optional(Objects),
    packing: Type.Optional(
      Type.Unsafe<'none' | 'ready' | 'riders'>({
        type: 'string',
        enum: ['none', 'ready', 'riders'],
        default: defaultSettings.packing,
        description:
          'Which groups share a call: `none`, those that are `ready` together, or those and groups not yet due as `riders` in its free places.',
      }),
    ),
    apiBudgetPercent: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        default: defaultSettings.apiBudgetPercent,
        description:
          "Share of the org's daily API calls, in percent, past which asynchronous groups wait and fill up.",
      }),
    ),
  },
  { additionalProperties: false, title: 'WriteSettings' },
)

/** What an installation may do, as the integrator configured it. */
export const InstallationContent = Type.Object(
  { provider: ProviderName, write: WriteSettings },
  { additionalProperties: false, title: 'InstallationContent' },
)
export type InstallationContent = Static<typeof InstallationContent>

export const NewInstallation = Type.Object(
  {
    groupRef: GroupRef,
    connectionId: Type.Optional(
      Type.String({
        format: 'uuid',
        description: "The connection to write through; the group's own when absent.",
      }),
    ),
    config: Type.Object({ content: InstallationContent }, { additionalProperties: false }),
  },
  {
    additionalProperties: false,
    title: 'NewInstallation',
    examples: [{ groupRef: 'customer-42', config: { content: { provider: 'salesforce', write: {} } } }],
  },
)
export type NewInstallation = Static<typeof NewInstallation>

export const InstallationUpdate = Type.Object(
  {
    connectionId: Type.Optional(
      Type.String({ format: 'uuid', description: 'Another connection of the same group to write through.' }),
    ),
    config: Type.Optional(Type.Object({ content: InstallationContent }, { additionalProperties: false })),
  },
  {
    additionalProperties: false,
    minProperties: 1,
    title: 'InstallationUpdate',
    description:
      'What is given replaces what was there, a configuration as a whole; it takes effect within a second everywhere. A write keeps the id of the configuration that it was accepted by.',
    examples: [
      {
        config: { content: { provider: 'salesforce', write: { objects: { Lead: { objectName: 'Lead' } } } } },
      },
    ],
  },
)
export type InstallationUpdate = Static<typeof InstallationUpdate>

export const Installation = Type.Object(
  {
    id: Id,
    projectId: Id,
    integrationId: Id,
    group: Type.Object({ groupRef: GroupRef }),
    connection: Type.Object({ id: Id, status: ConnectionStatus }),
    healthStatus: Type.Unsafe<'healthy' | 'unhealthy'>({
      type: 'string',
      enum: ['healthy', 'unhealthy'],
      description: 'unhealthy: its connection is broken; writes wait until their deadlines.',
    }),
    config: Type.Object({ id: Id, content: InstallationContent }),
    createTime: Time,
  },
  { title: 'Installation' },
)
export type Installation = Static<typeof Installation>

export const InstallationPath = Type.Interface([IntegrationPath], {
  installationId: Type.String({ description: 'Id of the installation.' }),
})
