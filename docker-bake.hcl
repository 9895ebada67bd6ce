# The table of images. `docker buildx bake` builds all five into the local engine.
#
#   VERSION=1.2.3 docker buildx bake adapter                    one of them, under another version
#   CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt docker buildx bake        behind a proxy that inspects TLS
#   REGISTRY=registry.example/ours RELEASE=true PLATFORMS=linux/amd64,linux/arm64 docker buildx bake --push     a release
#   REGISTRY=registry.invalid/sidecars-arm64 PLATFORMS=linux/arm64 docker buildx bake        for another machine, on any
#   docker buildx bake --print                                  the build as JSON, without building

# Where the images are: host and path. The default never resolves (RFC 6761), so that nothing is pushed to a stranger or
# pulled from one. An image that was built under it is found locally.
variable "REGISTRY" { default = "registry.invalid/sidecars" }

# The version in tags and labels. It comes from pyproject.toml by `make docs`.
variable "VERSION" { default = "0.1.0" }

# The commit that is built, for labels and annotations.
variable "REVISION" { default = "" }

# The address of its repository.
variable "SOURCE" { default = "" }

# When that commit was made, in RFC 3339; with SOURCE_DATE_EPOCH in the environment the configuration of an image has it, too.
variable "CREATED" { default = "" }

# Platforms, separated by commas; empty is the builder's own. Several at once need a builder that can hold them.
variable "PLATFORMS" { default = "" }

# A CA bundle (PEM) for apt and pip, where a proxy inspects TLS. It is a build secret: no layer holds it.
variable "CA_BUNDLE" { default = "" }

# Attach provenance: only for a release, as the classic image store of an engine cannot hold it. The bill of materials is a
# file of each image, and the release attests that file.
variable "RELEASE" { default = false }

# The base of the builder stages; the images themselves are `scratch`.
variable "BASE" { default = "debian:trixie-slim" }

# What infra is, for its labels and annotations.
variable "INFRA" { default = "Infra container: holds a Pod's namespaces, as pause does in Kubernetes" }

group "default" {
  targets = ["sidecars", "infra"]
}

target "_common" {
  args      = { BASE = BASE }
  platforms = PLATFORMS == "" ? [] : split(",", PLATFORMS)
  secret    = CA_BUNDLE == "" ? [] : ["id=ca,src=${CA_BUNDLE}"]
  attest    = RELEASE ? ["type=provenance,mode=max"] : []
}

function "tags" {
  params = [name]
  result = ["${REGISTRY}/${name}:${VERSION}"]
}

# The keys of the OCI image specification (annotations.md). Those about a base are left out: the images begin with `scratch`.
function "labels" {
  params = [name, description]
  result = { for key, value in {
    "org.opencontainers.image.title"         = name
    "org.opencontainers.image.description"   = description
    "org.opencontainers.image.version"       = VERSION
    "org.opencontainers.image.revision"      = REVISION
    "org.opencontainers.image.created"       = CREATED
    "org.opencontainers.image.source"        = SOURCE
    "org.opencontainers.image.url"           = SOURCE
    "org.opencontainers.image.documentation" = SOURCE == "" ? "" : "${SOURCE}/tree/v${VERSION}/docs"
    "org.opencontainers.image.licenses"      = "Apache-2.0"
    "org.opencontainers.image.vendor"        = "sidecars"
  } : key => value if value != "" }
}

# Labels are the configuration's. A registry shows the annotations of a manifest, or of a list of manifests. An engine with
# the classic image store ignores them, so only a release sets them.
function "annotations" {
  params = [name, description]
  result = !RELEASE ? [] : [for key, value in labels(name, description) : "manifest,index:${key}=${value}"]
}

target "sidecars" {
  inherits = ["_common"]
  name     = image.name
  matrix = {
    image = [
      { name = "warcopier",  description = "Init container: copies a WAR into a shared volume before Tomcat starts" },
      { name = "logshipper", description = "Sidecar: follows an app's log files and ships their lines" },
      { name = "ambassador", description = "Ambassador: the one localhost address for an external cluster" },
      { name = "adapter",    description = "Adapter: /health for an app that has only /metrics, and the other way round" },
    ]
  }
  target      = "sidecar"
  args        = { SIDECAR = image.name }
  tags        = tags(image.name)
  labels      = labels(image.name, image.description)
  annotations = annotations(image.name, image.description)
}

target "infra" {
  inherits    = ["_common"]
  target      = "infra"
  tags        = tags("infra")
  labels      = labels("infra", INFRA)
  annotations = annotations("infra", INFRA)
}
