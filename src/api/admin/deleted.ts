/** What a DELETE answers: nothing. Spread into the `response` of its route. */
export const deleted = { 204: { type: 'null', description: 'It is not there any more.' } }
