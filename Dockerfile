# The coordinator, and the order and inventory services of the demonstration, each in an image of its own:
#
#   docker build -t trine .                                  the coordinator (the last stage)
#   docker build -t trine-order --target order-service .
#   docker build -t trine-inventory --target inventory-service .
#
# `docker compose up` builds all three. They share every layer but the last.

# The same release as in rust-toolchain.toml, which is not copied: it asks for tools that building does not need.
FROM rust:1.95.0-slim-trixie AS build
WORKDIR /src
# Line numbers would make the programs four times as large; a panic says its own.
ENV CARGO_PROFILE_RELEASE_DEBUG=false

# The dependencies, in a layer that lasts until Cargo.lock or a manifest changes: built from the manifests alone, with an
# empty program in the place of each of ours. Those of the crates that are not built stay: a member of a workspace has to
# have something in it.
COPY Cargo.toml Cargo.lock ./
COPY protocol/Cargo.toml protocol/
COPY engine/Cargo.toml engine/
COPY coordinator/clock/Cargo.toml coordinator/clock/
COPY coordinator/store/Cargo.toml coordinator/store/
COPY coordinator/dispatch/Cargo.toml coordinator/dispatch/
COPY coordinator/server/Cargo.toml coordinator/server/
COPY coordinator/cli/Cargo.toml coordinator/cli/
COPY sdk/Cargo.toml sdk/
COPY participants/Cargo.toml participants/
COPY examples/Cargo.toml examples/
COPY sim/Cargo.toml sim/
COPY testkit/Cargo.toml testkit/
COPY xtask/Cargo.toml xtask/
RUN for crate in protocol engine coordinator/clock coordinator/store coordinator/dispatch coordinator/server coordinator/cli sdk participants examples sim testkit xtask; do \
        mkdir -p "$crate/src/bin" && touch "$crate/src/lib.rs" && echo 'fn main() {}' >"$crate/src/main.rs" || exit 1; \
    done \
    && for service in order-service inventory-service; do \
        echo 'fn main() {}' >"participants/src/bin/$service.rs" || exit 1; \
    done \
    && cargo build --release --locked --no-default-features --features trine-cli/mimalloc --bins -p trine-cli -p trine-participants \
    && rm -r protocol/src engine/src coordinator/clock/src coordinator/store/src coordinator/dispatch/src coordinator/server/src coordinator/cli/src sdk/src participants/src

COPY . .
# Cargo goes by the time of a file, and these are older than the empty ones.
RUN find . -name '*.rs' -not -path './target/*' -exec touch {} + \
    && cargo build --release --locked --no-default-features --features trine-cli/mimalloc --bins -p trine-cli -p trine-participants

FROM debian:trixie-slim AS runtime
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data --create-home --shell /usr/sbin/nologin trine
# `trine health` asks for all of them: there is no other program here that could.
COPY --from=build /src/target/release/trine /usr/local/bin/trine
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /data

FROM runtime AS order-service
COPY --from=build /src/target/release/order-service /usr/local/bin/order-service
ENV PARTICIPANT_HTTP=0.0.0.0:7001
EXPOSE 7001
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["trine", "health", "--url", "http://127.0.0.1:7001", "--path", "/health", "--timeout", "4s"]
ENTRYPOINT ["order-service"]

FROM runtime AS inventory-service
COPY --from=build /src/target/release/inventory-service /usr/local/bin/inventory-service
ENV PARTICIPANT_HTTP=0.0.0.0:7002
EXPOSE 7002
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["trine", "health", "--url", "http://127.0.0.1:7002", "--path", "/health", "--timeout", "4s"]
ENTRYPOINT ["inventory-service"]

FROM runtime AS trine
# Loopback would reach nobody in a container. Nothing is authenticated: publish the ports to whom you trust.
ENV TRINE_HTTP_ADDR=0.0.0.0:36789
ENV TRINE_GRPC_ADDR=0.0.0.0:36790
EXPOSE 36789
EXPOSE 36790
# The default store is the file trine-data/trine.db in here. A journal must not go with its container.
VOLUME ["/data"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["trine", "health", "--url", "http://127.0.0.1:36789", "--path", "/healthz", "--timeout", "4s"]
ENTRYPOINT ["trine"]
CMD ["serve"]
