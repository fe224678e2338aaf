# syntax=docker/dockerfile:1
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/switchyard ./cmd/switchyard

# The embedded engine's local builds need git, a shell and bubblewrap, so the base is a
# slim Debian and not an empty image. With AWS as the engine neither is used.
FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends bubblewrap ca-certificates git \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home --home-dir /var/lib/switchyard --shell /usr/sbin/nologin switchyard
COPY --from=build /out/switchyard /usr/local/bin/switchyard
USER 10001:10001
WORKDIR /var/lib/switchyard
VOLUME /var/lib/switchyard
# Mount the config here; in a container it says server.listen: "0.0.0.0:8080"
# and data_dir: /var/lib/switchyard.
ENV SWITCHYARD_CONFIG=/etc/switchyard/switchyard.yaml
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["switchyard", "health"]
ENTRYPOINT ["switchyard"]
CMD ["serve"]
