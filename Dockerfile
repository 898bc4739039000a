# syntax=docker/dockerfile:1
# The service alone: it expects a PostgreSQL at DATABASE_URL, and KAMPANJE_API_KEY, as it listens on all addresses.
#   docker build -t kampanje .
#   docker run -p 8080:8080 -e DATABASE_URL=postgres://… -e KAMPANJE_API_KEY=… kampanje

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY crates crates
COPY demo demo
COPY migrations migrations
COPY openapi openapi
COPY src src
COPY xtask xtask
# The caches do not become part of the image, so the binary is copied out of them in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --locked --profile dist --bin kampanje && cp target/dist/kampanje /kampanje

# glibc, libgcc and the roots of certificates; no shell, no package manager, a user that is not root.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /kampanje /usr/local/bin/kampanje
ENV KAMPANJE_LISTEN=0.0.0.0:8080 \
    KAMPANJE_LOG_FORMAT=json
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/kampanje", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/kampanje"]
CMD ["serve"]
