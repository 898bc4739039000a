# syntax=docker/dockerfile:1
# The service alone: it expects a PostgreSQL and, as it listens on all addresses, an API key. Both
# secrets are files.
#   docker build -t kampanje .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges \
#     --memory 1g --pids-limit 256 --ulimit nofile=16384 --stop-timeout 60 -p 127.0.0.1:8080:8080 \
#     -v "$PWD/secrets:/run/secrets:ro" -e DATABASE_URL_FILE=/run/secrets/database-url \
#     -e KAMPANJE_API_KEY_FILE=/run/secrets/api-key kampanje
#
# The base images are named by tag. For a release, pin both by digest (docs/releasing.md).

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY crates crates
COPY demo demo
COPY migrations migrations
COPY openapi openapi
COPY src src
COPY web/dist web/dist
COPY xtask xtask
# The caches do not become part of the image, so the binary is copied out of them in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --locked --profile dist --bin kampanje && cp target/dist/kampanje /kampanje
RUN mkdir /cache

# glibc, libgcc and the roots of certificates; no shell, no package manager, a user without rights.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /kampanje /usr/local/bin/kampanje
# The only directory that the service writes. A new volume gets its owner.
COPY --from=build --chown=65532:65532 /cache /var/cache/kampanje
VOLUME /var/cache/kampanje
ENV KAMPANJE_LISTEN=0.0.0.0:8080 \
    KAMPANJE_LOG_FORMAT=json \
    KAMPANJE_SNAPSHOT_PATH=/var/cache/kampanje/price-book.copy
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/kampanje", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/kampanje"]
CMD ["serve"]
