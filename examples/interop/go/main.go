// The published Go client of dtm against Trine. `-list` names the scenarios; without names all are run.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/dtm-labs/logger"
)

// scenario is run against a coordinator, and returns what it has shown. It panics where something is wrong.
type scenario struct {
	name string
	// needs names the databases without which it cannot be run.
	needs []string
	run   func(*world) string
}

// world is what a scenario finds.
type world struct {
	// http is the coordinator's URL as the client wants it (it ends in `/api/dtmsvr`), grpc its address.
	http, grpc string
	// databases are URLs by kind: mysql, postgres.
	databases map[string]string
}

func (w *world) jsonRPC() string {
	return strings.TrimSuffix(w.http, "dtmsvr") + "json-rpc"
}

func scenarios() []scenario {
	var all []scenario
	for _, wire := range []wire{overHTTP{}, overGRPC{}, overJSONRPC{}} {
		all = append(all, sagaScenarios(wire)...)
		all = append(all, msgScenarios(wire)...)
	}
	for _, wire := range []tccWire{overHTTP{}, overGRPC{}} {
		all = append(all, tccScenarios(wire)...)
	}
	all = append(all, topicScenarios()...)
	for _, kind := range []string{"mysql", "postgres"} {
		all = append(all, barrierScenarios(kind)...)
		all = append(all, xaScenarios(kind)...)
	}
	all = append(all, xaAcross())
	return append(all, workflowScenarios()...)
}

func main() {
	mysql, postgres := os.Getenv("INTEROP_MYSQL"), os.Getenv("INTEROP_POSTGRES")
	w := &world{}
	http, grpc := env("TRINE_DTM_HTTP", "http://127.0.0.1:36789/api/dtmsvr"), env("TRINE_DTM_GRPC", "127.0.0.1:36790")
	flag.StringVar(&w.http, "http", http, "the coordinator's URL; $TRINE_DTM_HTTP")
	flag.StringVar(&w.grpc, "grpc", grpc, "its address for gRPC; $TRINE_DTM_GRPC")
	flag.StringVar(&mysql, "mysql", mysql, "mysql://user:password@host:port/database; $INTEROP_MYSQL")
	flag.StringVar(&postgres, "postgres", postgres, "postgres://user:password@host:port/database; $INTEROP_POSTGRES")
	list := flag.Bool("list", false, "name the scenarios and do nothing")
	executor := flag.String("executor", "", "be the executor of a workflow that dies; only for the scenarios' own use")
	verbose := flag.Bool("verbose", false, "let the client log")
	flag.Parse()
	w.databases = map[string]string{"mysql": mysql, "postgres": postgres}
	if !*verbose {
		// The client logs to where the verdicts go.
		logger.WithLogger(silent{})
	}
	switch {
	case *executor != "":
		dyingExecutor(w, *executor, flag.Args())
	case *list:
		for _, s := range scenarios() {
			fmt.Println(s.name)
		}
	default:
		os.Exit(run(w, flag.Args()))
	}
}

// run runs the scenarios of these names, or all, and stops at the first that is wrong.
func run(w *world, names []string) int {
	known := map[string]bool{}
	for _, s := range scenarios() {
		known[s.name] = true
		if len(names) > 0 && !contains(names, s.name) {
			continue
		}
		if missing := w.missing(s); missing != "" {
			fmt.Fprintf(os.Stderr, "%s: left out, needs -%s\n", s.name, missing)
			if len(names) > 0 {
				return 1
			}
			continue
		}
		verdict, ok := attempt(w, s)
		fmt.Printf("%s: %s\n", s.name, verdict)
		if !ok {
			return 1
		}
	}
	for _, name := range names {
		if !known[name] {
			fmt.Fprintf(os.Stderr, "no scenario is called %q; -list names them\n", name)
			return 1
		}
	}
	return 0
}

func (w *world) missing(s scenario) string {
	for _, kind := range s.needs {
		if w.databases[kind] == "" {
			return kind
		}
	}
	return ""
}

func attempt(w *world, s scenario) (verdict string, ok bool) {
	defer func() {
		if problem := recover(); problem != nil {
			verdict, ok = fmt.Sprintf("WRONG: %v", problem), false
			fmt.Fprintf(os.Stderr, "%s\n", debug.Stack())
		}
	}()
	return s.run(w), true
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// silent is a logger that says nothing.
type silent struct{}

func (silent) Debugf(string, ...interface{}) {}
func (silent) Infof(string, ...interface{})  {}
func (silent) Warnf(string, ...interface{})  {}
func (silent) Errorf(string, ...interface{}) {}
