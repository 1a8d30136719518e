/*
 * Engagement interactions (contract section 8; facts 11): a nested container of an interaction, its attendees
 * and its topics, which the provider's Connect resource writes as one. To the queue it is a create of its own
 * kind. What no create of an object can have, the slashes of its name, keeps its lanes apart.
 */

/** What a lane of interactions has for its object: the resource that they are posted to. */
export const INTERACTIONS = 'connect/service-excellence/engagement-interactions'

/** The object by which an installation's configuration lists them, and by which their operations are shown. */
export const INTERACTION_OBJECT = 'EngagementInteraction'

/**
 * The field by which an interaction can be found again after its answer was lost. A lane whose writes have it
 * names it as its external-id field.
 */
export const INTERACTION_KEY = 'externalIdentifierId'

/** The most interactions of one group (facts 4.2). */
export const MAX_INTERACTIONS = 25

/** Minutes after which a request whose answer was lost cannot be running at the provider any more (facts 6). */
export const LOST_CALL_MINUTES = 10

/** What a lane says of its writes' kind. */
interface LaneKind {
  objectName: string
  externalIdField: string | null
}

/** Whether a lane, or a group of it, is of interactions. */
export const areInteractions = ({ objectName }: Pick<LaneKind, 'objectName'>): boolean =>
  objectName === INTERACTIONS

/**
 * Whether a write whose answer was lost is looked up before it is sent again: sending it twice could write it
 * twice, unlike whatever else is sent again.
 */
export const isLookedUp = (lane: LaneKind): boolean => areInteractions(lane) && lane.externalIdField !== null
