package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"sync"
)

// report is how the scenarios went so far; once one is wrong, no other is begun.
type report struct {
	mu    sync.Mutex
	wrong bool
}

// run runs the scenarios of these names, or all. Returns the exit code.
func run(w *world, names []string, jobs int) int {
	left := map[string]bool{}
	for _, name := range names {
		left[name] = true
	}
	r := &report{}
	chosen := func(scenarios []scenario) []scenario {
		return r.choose(w, scenarios, left, len(names) == 0)
	}
	others, workflows := chosen(independent()), chosen(workflowScenarios())
	for name := range left {
		fmt.Fprintf(os.Stderr, "no scenario is called %q; -list names them\n", name)
		r.wrong = true
	}
	for _, link := range w.databases {
		if link != "" {
			createTables(link)
		}
	}
	queue := make(chan scenario)
	var lanes sync.WaitGroup
	lane := func(run func()) {
		lanes.Add(1)
		go func() {
			defer lanes.Done()
			run()
		}()
	}
	for i := 0; i < jobs; i++ {
		lane(func() {
			for s := range queue {
				r.attempt(w, s)
			}
		})
	}
	lane(func() {
		for _, s := range workflows {
			r.attempt(w, s)
		}
	})
	for _, s := range others {
		queue <- s
	}
	close(queue)
	lanes.Wait()
	if r.wrong {
		return 1
	}
	return 0
}

// choose picks those that are asked for and can be run, and crosses their names out.
func (r *report) choose(w *world, scenarios []scenario, left map[string]bool, all bool) []scenario {
	var chosen []scenario
	for _, s := range scenarios {
		if !all && !left[s.name] {
			continue
		}
		delete(left, s.name)
		missing := ""
		for _, kind := range s.needs {
			if w.databases[kind] == "" {
				missing = kind
			}
		}
		if missing == "" {
			chosen = append(chosen, s)
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: left out, needs -%s\n", s.name, missing)
		r.wrong = r.wrong || !all
	}
	return chosen
}

// attempt runs a scenario and prints its line.
func (r *report) attempt(w *world, s scenario) {
	r.mu.Lock()
	stop := r.wrong
	r.mu.Unlock()
	if stop {
		return
	}
	verdict, wrong := outcome(w, s)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = r.wrong || wrong
	fmt.Printf("%s: %s\n", s.name, verdict)
}

func outcome(w *world, s scenario) (verdict string, isWrong bool) {
	defer func() {
		if problem := recover(); problem != nil {
			verdict, isWrong = fmt.Sprintf("WRONG: %v", problem), true
			fmt.Fprintf(os.Stderr, "%s\n", debug.Stack())
		}
	}()
	return s.run(w), false
}
