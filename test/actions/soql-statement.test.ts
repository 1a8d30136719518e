import { describe, expect, it } from 'vitest'
import { MAX_SOQL, statementFault } from '../../src/actions/soql-statement.ts'

describe('a statement', () => {
  it.each([
    'SELECT Id FROM Contact',
    '  \n\tselect Id from Contact',
    "SELECT Id FROM Contact WHERE Name = 'FOR UPDATE; -- /* */'",
    "SELECT Id FROM Contact WHERE Name = 'it\\'s FOR VIEW'",
    "SELECT Id FROM Contact WHERE Name = 'ends in \\\\'",
    "SELECT Id FROM Contact WHERE Name = 'Ünï {{x}}'",
    'SELECT Id, (SELECT Id FROM Contacts) FROM Account WHERE CreatedDate = LAST_N_DAYS:3',
    'SELECT COUNT() FROM Contact WHERE Amount__c > -1.5 AND (A__c = 1 OR B__c != null)',
    'SELECT Id FROM Contact WITH SECURITY_ENFORCED ORDER BY Name NULLS LAST LIMIT 10 OFFSET 5',
    'SELECT For_Update__c, Update__c, Tracking FROM Contact',
  ])('%s is a query that only reads', (soql) => {
    expect(statementFault(soql)).toBeNull()
  })

  it.each([
    ['', 'must begin with SELECT: only queries are run'],
    ['FIND {x} IN ALL FIELDS', 'must begin with SELECT: only queries are run'],
    ['DELETE FROM Contact', 'must begin with SELECT: only queries are run'],
    ['(SELECT Id FROM Contact)', 'must begin with SELECT: only queries are run'],
    ["'x' SELECT Id FROM Contact", 'must begin with SELECT: only queries are run'],
    ['SELECTED Id FROM Contact', 'must begin with SELECT: only queries are run'],
    ['/* x */ SELECT Id FROM Contact', 'must have no comments'],
    ['SELECT Id FROM Contact // x', 'must have no comments'],
    ['SELECT Id -- x\nFROM Contact', 'must have no comments'],
    ['SELECT Id FROM Contact;', 'must be one statement, without a semicolon'],
    ["SELECT Id FROM Contact WHERE Name = 'x", 'has a quoted text without its end'],
    ["SELECT Id FROM Contact WHERE Name = 'x\\'", 'has a quoted text without its end'],
    ['SELECT Id FROM Contact FOR UPDATE', 'must not have FOR UPDATE: only reading is allowed'],
    ['SELECT Id FROM Contact LIMIT 1 for\n\tview', 'must not have FOR VIEW: only reading is allowed'],
    ['SELECT Id FROM Contact FOR REFERENCE', 'must not have FOR REFERENCE: only reading is allowed'],
    ['SELECT Id FROM K UPDATE TRACKING', 'must not have UPDATE TRACKING: only reading is allowed'],
    ['SELECT Id FROM K Update Viewstat', 'must not have UPDATE VIEWSTAT: only reading is allowed'],
    // Braces are braces here: what they hold is not hidden.
    [
      "SELECT Id FROM C WHERE N = '{{x' FOR UPDATE LIMIT '}}'",
      'must not have FOR UPDATE: only reading is allowed',
    ],
    [
      'SELECT Id FROM Contact FOR\u00a0UPDATE',
      'must have no other characters than ASCII outside of quoted texts',
    ],
    ['SELECT Id\u0000 FROM Contact', 'must have no other characters than ASCII outside of quoted texts'],
    ["SELECT Id FROM C WHERE N = '\ud800'", 'must be well-formed Unicode'],
    [
      `SELECT '${'ü'.repeat(MAX_SOQL / 6)}'`,
      `must have at most ${MAX_SOQL} characters, percent-encoded as it goes out`,
    ],
  ])('%j is refused by name', (soql, fault) => {
    expect(statementFault(soql)).toBe(fault)
  })
})
