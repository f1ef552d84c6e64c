# The same as pair.sh, with Patroni on etcd, which runs both of them by the configuration that deploy/ has.
#
# Arguments: where PostgreSQL's programs are, and a folder of its own with nothing but that configuration.
set -eu
programs=$1 folder=$2
# A network of this machine that nobody else uses, so that every port is free.
network=127.$((64 + $$ / 250 % 60)).$(($$ % 250))
cd "$folder"
etcd=
PGCONNECT_TIMEOUT=2
# Patroni keeps passwords at home, which is still that of whoever runs the tests.
HOME=$folder
export PGCONNECT_TIMEOUT HOME

address() { if [ "$1" = a ]; then echo "$network.1"; else echo "$network.2"; fi; }
other() { if [ "$1" = a ]; then echo b; else echo a; fi; }

# Its Patroni and its PostgreSQL die at once, as with their machine.
cut() {
  if [ -f "$1.pid" ]; then kill -9 "$(cat "$1.pid")" 2>/dev/null || :; fi
  cut_postgres "$1"
}

cut_postgres() {
  if [ -f "$1/postmaster.pid" ]; then kill -9 "$(head -n 1 "$1/postmaster.pid")" 2>/dev/null || :; fi
}

finish() {
  cut a
  cut b
  if [ -n "$etcd" ]; then kill -9 "$etcd" 2>/dev/null || :; fi
  cd / && until rm -rf "$folder" 2>/dev/null; do sleep 0.1; done
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

fail() {
  tail -n 40 ./*.log >&2
  exit 1
}

start() {
  own=$(address "$1")
  sed -e "s/^name: .*/name: $1/" -e "s/10\.0\.1\.1/$own/" -e "s/^  hosts: .*/  hosts: $network.3:2379/" \
    -e "s#^  data_dir: .*#  data_dir: $folder/$1#" -e "s#^  bin_dir: .*#  bin_dir: $programs#" \
    -e 's#10\.0\.0\.0/8#127.0.0.0/8#' patroni.yml >"$1.yml"
  # Without sockets: Debian puts them where only its own servers may write.
  sed -i 's/^  pg_hba:/  parameters: { unix_socket_directories: "" }\n&/' "$1.yml"
  patroni "$1.yml" >>"$1.log" 2>&1 </dev/null &
  echo $! >"$1.pid"
}

ask() {
  PGPASSWORD=CHANGE-ME-1 "$programs/psql" --no-psqlrc --quiet --tuples-only --no-align --username=postgres \
    --host="$(address "$1")" --command="$2" "${3:-postgres}" 2>>ask.log
}

is_primary() { [ "$(ask "$1" 'SELECT NOT pg_is_in_recovery()')" = t ]; }

# Until somebody takes writes.
until_primary() {
  for _ in $(seq 600); do
    for node in a b; do
      if is_primary $node; then
        primary=$node
        return
      fi
    done
    sleep 0.1
  done
  fail
}

# Until this one does.
until_it_is() {
  for _ in $(seq 600); do
    if is_primary "$1"; then
      primary=$1
      return
    fi
    sleep 0.1
  done
  fail
}

# Until Patroni knows that commits wait for the other, which it may then promote.
until_joined() {
  for _ in $(seq 300); do
    if patronictl --config-file "$primary.yml" list 2>>control.log | grep -q 'Sync Standby'; then return; fi
    sleep 0.2
  done
  fail
}

control() { patronictl --config-file "$primary.yml" "$@" >>control.log 2>&1 || fail; }

etcd --data-dir etcd --listen-client-urls "http://$network.3:2379" --advertise-client-urls "http://$network.3:2379" \
  --listen-peer-urls "http://$network.3:2380" --initial-advertise-peer-urls "http://$network.3:2380" \
  --initial-cluster "default=http://$network.3:2380" >etcd.log 2>&1 </dev/null &
etcd=$!
start a
until_it_is a
ask a "CREATE ROLE roster LOGIN PASSWORD 'CHANGE-ME-4'"
ask a 'CREATE DATABASE roster OWNER roster'
start b
until_joined
echo "ready postgres://roster:CHANGE-ME-4@$(address a):5432,$(address b):5432/roster?target_session_attrs=read-write"

while read -r word; do
  case $word in
    restart)
      control restart roster "$primary" --force
      until_primary
      ;;
    # Patroni is still there, and finds that its PostgreSQL is not.
    crash)
      cut_postgres "$primary"
      sleep 0.2
      until_primary
      ;;
    # The machine is gone.
    promote)
      lost=$primary
      cut "$lost"
      until_it_is "$(other "$lost")"
      ;;
    # In order, as for an upgrade.
    switch)
      next=$(other "$primary")
      control switchover roster --leader "$primary" --candidate "$next" --force
      until_it_is "$next"
      ;;
    join)
      node=$(other "$primary")
      if ! kill -0 "$(cat "$node.pid")" 2>/dev/null; then start "$node"; fi
      until_joined
      ;;
    *) fail ;;
  esac
  echo "done"
done
