// The published Go client of dtm against Trine. `-list` names the scenarios; without names all are run.
package main

import (
	"flag"
	"fmt"
	"os"
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

// independent scenarios can be run side by side, and beside workflows.
func independent() []scenario {
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
	return append(all, xaAcross())
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
	jobs := flag.Int("jobs", 8, "how many scenarios to run side by side; workflows are run one by one")
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
		for _, s := range append(independent(), workflowScenarios()...) {
			fmt.Println(s.name)
		}
	default:
		os.Exit(run(w, flag.Args(), *jobs))
	}
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// silent is a logger that says nothing.
type silent struct{}

func (silent) Debugf(string, ...interface{}) {}
func (silent) Infof(string, ...interface{})  {}
func (silent) Warnf(string, ...interface{})  {}
func (silent) Errorf(string, ...interface{}) {}
