# Sourced by .ci/run: installs and names the servers that we did not write.
venv="$bin/moto"
if [ ! -x "$venv/bin/moto_server" ]; then
  python3 -m venv "$venv" 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null && python3 -m venv "$venv"; }
  "$venv/bin/pip" install -q 'moto[server]'
fi
export MOTO_SERVER="$venv/bin/moto_server"
command -v aws >/dev/null || { apt-get update -qq && apt-get install -y -qq awscli >/dev/null; }
