import { BlockList, isIP } from 'node:net'

/** Addresses that are not on the public internet: this service must not be made to call them. Translated and tunnelled IPv4 is among them, since the inner address could be anything. */
const privateAddresses = new BlockList()
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const)
  privateAddresses.addSubnet(net, prefix, 'ipv4')
for (const [net, prefix] of [
  ['::', 96],
  ['64:ff9b::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 9],
  ['ff00::', 8],
] as const)
  privateAddresses.addSubnet(net, prefix, 'ipv6')

/** Whether an IP address is loopback, private or otherwise not of the public internet. */
export const isPrivateAddress = (address: string): boolean =>
  // BlockList looks through IPv4-mapped IPv6 addresses by itself
  privateAddresses.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
