# Sourced by .ci/run, whose `again` it uses: installs and names the programs that
# we did not write. What is there already is left alone.
# Each has an environment of its own, since they pin the same libraries.
debian() { # [OPTION...] PACKAGE...
  again apt-get update -qq
  DEBIAN_FRONTEND=noninteractive again apt-get install -y -qq "$@" >/dev/null
}
python_env() { # DIR PACKAGE...
  [ -x "$1/bin/pip" ] || python3 -m venv "$1" 2>/dev/null ||
    { debian python3-venv && python3 -m venv "$1"; }
  again "$1/bin/pip" install -q --disable-pip-version-check "${@:2}"
}
[ -x "$bin/moto/bin/moto_server" ] || python_env "$bin/moto" 'moto[server]'
export MOTO_SERVER="$bin/moto/bin/moto_server"
# moto brings botocore, and with it the services' models.
for SWITCHYARD_BOTOCORE_DATA in "$bin"/moto/lib/python3*/site-packages/botocore/data; do :; done
export SWITCHYARD_BOTOCORE_DATA
[ -x "$bin/ministack/bin/hypercorn" ] || python_env "$bin/ministack" ministack
export MINISTACK_HYPERCORN="$bin/ministack/bin/hypercorn"
# Debian 12's awscli (2.9) has no commands for aliases of state machines yet.
[ -x "$bin/awscli/bin/aws" ] || python_env "$bin/awscli" awscli
export SWITCHYARD_AWS_CLI="$bin/awscli/bin/aws"
# GitHub's OpenAPI description (MIT), of which the stand-in in internal/githubtest reads one file.
[ -s "$bin/github-openapi/api.github.com.json" ] || {
  command -v npm >/dev/null || debian npm
  mkdir -p "$bin/github-openapi"
  (cd "$bin/github-openapi" && again npm pack --silent @octokit/openapi@23.0.2 >/dev/null &&
    tar -xzf octokit-openapi-*.tgz --strip-components=2 package/generated/api.github.com.json && rm octokit-openapi-*.tgz)
}
export SWITCHYARD_GITHUB_OPENAPI="$bin/github-openapi/api.github.com.json"
# What Atlassian publishes of Bitbucket's APIs, as types (Apache-2.0), for the stand-ins in internal/bitbuckettest.
[ -s "$bin/bitbucket-types/server/openapi/openapi-typescript.d.ts" ] || {
  mkdir -p "$bin/bitbucket-types"
  (cd "$bin/bitbucket-types" && again npm pack --silent @coderabbitai/bitbucket@1.1.4 >/dev/null &&
    tar -xzf coderabbitai-bitbucket-*.tgz --strip-components=2 package/dist && rm coderabbitai-bitbucket-*.tgz)
}
export SWITCHYARD_BITBUCKET_TYPES="$bin/bitbucket-types"
# AWS's language service for state machines (MIT), a linter of deploy/pipelines.
[ -s "$bin/asl-service/node_modules/amazon-states-language-service/package.json" ] || {
  command -v npm >/dev/null || debian npm
  mkdir -p "$bin/asl-service"
  again npm install --silent --no-audit --no-fund --prefix "$bin/asl-service" amazon-states-language-service@1.16.1 >/dev/null
}
export ASL_SERVICE="$bin/asl-service"
# The browser in which the dashboard is tested.
command -v chromium >/dev/null || debian --no-install-recommends chromium
# What isolates local builds.
command -v bwrap >/dev/null || debian bubblewrap
# What builds in containers run with, and what their image is made of; no registry is asked.
{ command -v podman && command -v crun && command -v busybox; } >/dev/null || debian --no-install-recommends podman crun busybox-static
# What checks the files in deploy/ that install Switchyard.
"$bin/templates/bin/python" -c 'import cfnlint, samtranslator, kubernetes_validate, hcl2' 2>/dev/null ||
  python_env "$bin/templates" 'cfn-lint>=1.40' 'aws-sam-translator>=1.100' 'kubernetes-validate>=1.33' 'python-hcl2>=7'
export TEMPLATES="$bin/templates/bin"
[ -x "$bin/kustomize" ] || GOBIN="$bin" again go install sigs.k8s.io/kustomize/kustomize/v5@v5.5.0
export KUSTOMIZE="$bin/kustomize"
command -v systemd-analyze >/dev/null || debian systemd
# What compiles the race detector's programs.
command -v "$(go env CC)" >/dev/null || debian gcc libc6-dev
