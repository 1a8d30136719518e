# The service for a database of your own (DATABASE_URL). The embedded PostgreSQL is for trying out and
# tests on a host, and is left out.

FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# the image brings Node, and nothing here needs what packages do at their installation
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN node node_modules/typescript/bin/tsc -p tsconfig.build.json \
  && npm prune --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY migrations ./migrations
USER node
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# a small young generation: see docs/performance.md
CMD ["node", "--max-semi-space-size=8", "dist/main.js", "serve"]
