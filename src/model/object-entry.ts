/** A field's default: exactly one of the three. */
export interface FieldDefault {
  stringValue?: string
  integerValue?: number
  booleanValue?: boolean
}

/** When one field is written, and with what when the caller does not give it. */
export interface FieldSetting {
  default?: FieldDefault
  /** Default `always`. */
  writeOnCreate?: 'always' | 'never'
  /** Default `always`. `ifEmpty`: only where the provider's record has no value yet. */
  writeOnUpdate?: 'always' | 'never' | 'ifEmpty'
}

/** What an installation's entry for one object says of names and fields (contract section 4). */
export interface ObjectEntry {
  /** The caller's name of the object. */
  mapToName?: string
  /** The provider's field name by the caller's. */
  fieldMappings?: Record<string, string>
  /** By the provider's field name, or by the caller's where that is mapped. */
  selectedFieldSettings?: Record<string, FieldSetting>
}

/** A value that a procedure sets a field to. */
export type ForcedValue = string | number | boolean | null

/** A named way of writing an object (contract section 8). */
export interface Procedure {
  /** The fields that a caller may give, named as those of {@link ObjectEntry.selectedFieldSettings}; any when absent. */
  fields?: string[]
  /** By field, named likewise: what it is set to, whatever the caller gives. */
  values?: Record<string, ForcedValue>
  /** Default false. */
  allOrNone?: boolean
  /** Default false. */
  allowDuplicates?: boolean
  /** The caller's own when absent. */
  mode?: 'synchronous' | 'asynchronous'
}

/** An object as an installation's configuration lists it. */
export interface ConfiguredObject extends ObjectEntry {
  /** The provider's name. */
  objectName: string
  deletionSettings?: { enabled: boolean }
  /** An external-id field that carries the id of a create (contract section 6.5). */
  idempotencyField?: string
  /** Lookup fields whose record the provider locks with this one (facts 8); those of standard objects are known. */
  parentFields?: string[]
  /** By name. */
  procedures?: Record<string, Procedure>
}

/** Which groups share a call: none, those that are ready together, or also those not yet due in its free places. */
export type Packing = 'none' | 'ready' | 'riders'

/** How an installation's calls are made. */
export interface CallSettings {
  packing: Packing
  /** Share of the org's daily calls, in percent, past which asynchronous groups wait (contract section 6.9). */
  apiBudgetPercent: number
}

/** What holds where an installation's configuration says nothing. */
export const defaultCallSettings: CallSettings = { packing: 'riders', apiBudgetPercent: 90 }
