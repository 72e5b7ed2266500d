# The server alone, for one machine or many. README.md lists its settings, the PAUSA_* variables.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked --bin pausa

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/pausa --create-home pausa
COPY --from=build /src/target/dist/pausa /usr/local/bin/pausa
COPY LICENSE-MIT LICENSE-APACHE assets/graphiql/LICENSES.txt /usr/share/doc/pausa/
USER pausa
WORKDIR /var/lib/pausa
ENV PAUSA_LISTEN=0.0.0.0:8080 PAUSA_DATA_DIR=/var/lib/pausa
VOLUME /var/lib/pausa
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["curl", "-fsS", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["pausa"]
CMD ["serve"]
