# A static binary and nothing else: no shell, no package manager, no root.
#   docker build -t hookgate .
# How to configure and run it: docs/operations.md, "In a container".

FROM rust:1.95-alpine AS build
# A C compiler for SQLite, the allocator and the cryptography; Linux headers for some of them.
RUN apk add --no-cache build-base linux-headers perl
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
# Named in Cargo.toml, so they must be there.
COPY benches benches
# Alpine's own target is musl, linked statically.
RUN cargo build --release --locked --bin hookgate \
    && mkdir -p /root-of-image/tmp /user-of-image/data \
    && chmod 1777 /root-of-image/tmp \
    && cp target/release/hookgate /root-of-image/hookgate

FROM scratch
COPY --from=build /root-of-image/ /
# Only what a COPY makes gets its owner, so /data must not be there yet; a new volume has the owner from here.
COPY --from=build --chown=65532:65532 /user-of-image/ /
# "nonroot" in other images without a shell; what is mounted must be readable by it.
USER 65532:65532
# The store: [store] url = "sqlite:/data/hookgate.db".
VOLUME /data
WORKDIR /data
EXPOSE 8443
# As long as shutdown_grace by default, which `docker stop` gives too.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/hookgate", "check", "--live", "--config", "/etc/hookgate/hookgate.toml"]
ENTRYPOINT ["/hookgate"]
CMD ["serve", "--config", "/etc/hookgate/hookgate.toml"]
