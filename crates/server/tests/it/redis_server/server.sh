# Serves a throwaway Redis until standard input ends, which it does when whoever started this is gone, however that came
# about. Then it leaves nothing behind. Says the server's pid and "ready" on standard output when it takes connections.
#
# Arguments: the program, an empty folder of its own, and what the program is to be told.
set -eu
program=$1 folder=$2
shift 2
cd "$folder"

"$program" "$@" --dir "$folder" --save '' --appendonly no >server.log 2>&1 &
server=$!
finish() {
  kill -KILL "$server" 2>/dev/null || :
  cd / && rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

until grep -q 'Ready to accept connections' server.log; do
  kill -0 "$server" 2>/dev/null || { cat server.log >&2; exit 1; }
  sleep 0.01
done
echo "$server"
cat >/dev/null
