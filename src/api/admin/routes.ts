import type { FastifyPluginCallback } from 'fastify'
import type { Setup } from '../../connections/setup.ts'
import { apiKeyRoutes } from './api-keys.ts'
import { connectionRoutes } from './connections.ts'
import { installationRoutes } from './installations.ts'
import { integrationRoutes } from './integrations.ts'
import { projectRoutes } from './projects.ts'

/** The set-up calls (contract section 4). */
export const adminRoutes =
  (setup: Setup): FastifyPluginCallback =>
  (app, _, done) => {
    projectRoutes(app, setup)
    apiKeyRoutes(app, setup)
    integrationRoutes(app, setup)
    connectionRoutes(app, setup)
    installationRoutes(app, setup)
    done()
  }
