# Keeps one folder and the server that lives in it, and outlives the test process, however that ends.
#
# usage: sh -c SCRIPT keeper PARENT OWNER END, as leader of a process group of its own. Prints the folder it made. Then reads
# lines of shell from stdin and runs each in turn, and answers each with one line. At the end of stdin, which is the end
# of whoever holds the other end, it kills everything it ever started and removes the folder.

parent=$1
owner=$2
end=$3 # the signal at which the server and its children end at once, if there is one

# Every process below this one, or in its group, that is not dead: in $pids. Not by `ps`, which may be missing. The group
# finds what lost its parent; the descent finds what left the group, as every PostgreSQL backend does.
family() {
    pids=
    known=" $$ "
    grew=yes
    while [ -n "$grew" ]; do
        grew=
        for stat in /proc/[0-9]*/stat; do
            { read -r fields <"$stat"; } 2>/dev/null || continue
            pid=${fields%% *}
            case $known in *" $pid "*) continue ;; esac
            set -- ${fields##*) } # state, parent, group
            [ "$1" = Z ] && continue
            case $known in *" $2 "*) ;; *) [ "$3" = $$ ] || continue ;; esac
            known="$known$pid "
            pids="$pids $pid"
            grew=yes
        done
    done
}

alive() {
    { read -r fields <"/proc/$1/stat"; } 2>/dev/null || return 1
    fields=${fields##*) }
    case $fields in Z*) return 1 ;; esac
}

signal() {
    family
    [ -z "$pids" ] || kill "-$1" $pids 2>/dev/null
}

# Kills at once, as a power failure does. Everything is stopped first, so that nothing is forked meanwhile.
crash() {
    before=none
    family
    while [ "$pids" != "$before" ]; do
        before=$pids
        signal STOP
        family
    done
    signal KILL
    # A process whose first thread is dead looks dead, while others may still hold its port. `wait` is not fooled.
    wait
    for pid in $before; do
        while alive "$pid"; do sleep 0.01; done
    done
}

# $! is the server itself, not a shell around it.
start() {
    "$@" </dev/null >>"$folder/log" 2>&1 &
    server=$!
    echo "$server"
}

# A server that is killed leaves dead children to process 1, which in a container may not bury them. So it is given a
# moment to end by itself.
finish() {
    trap - EXIT
    trap : INT TERM
    cd /
    signal CONT
    # Only if it is still there: its number may be somebody else's by now.
    case "$pids " in *" $server "*) known=yes ;; *) known= ;; esac
    if [ -n "$end" ] && [ -n "$known" ]; then
        kill "-$end" "$server"
        moments=100
        while family && [ -n "$pids" ] && [ $moments -gt 0 ]; do
            moments=$((moments - 1))
            sleep 0.01
        done
    fi
    crash
    # Ends at once unless something outside is still writing there.
    for attempt in 1 2 3 4 5; do
        rm -rf "$folder" && break
        sleep 0.1
    done
}

# Neither a reader that is gone may end this process, nor what the kernel sends to a group with a stopped process in it
# when the parent of its leader ends, which is when this process is needed. A handler, unlike `''`, is not inherited.
trap : PIPE HUP
server=none
folder=$(mktemp -d "$parent/trine-kit-XXXXXX") || exit 1
trap finish EXIT
trap 'exit 1' INT TERM
[ -z "$owner" ] || chown "$owner" "$folder" || exit 1
cd "$folder" || exit 1
echo "$folder"
while read -r line; do
    eval "$line"
done
