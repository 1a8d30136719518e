import { configDefaults, defineConfig } from 'vitest/config'

/** These change what other files would find in their process: mocked modules, a module loaded in another way. */
const ownProcess = ['test/connections/known-keys.test.ts', 'test/simulator/jsforce.test.ts']

export default defineConfig({
  test: {
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 3,
    projects: [
      {
        extends: true,
        test: {
          name: 'shared',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...ownProcess],
          // Loading the modules anew for each file takes a third of the run.
          isolate: false,
        },
      },
      { extends: true, test: { name: 'own', include: ownProcess } },
    ],
  },
})
