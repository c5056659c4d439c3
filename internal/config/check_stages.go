package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkStages is given the groups of each product's pattern.
func (r *reader) checkStages(products map[string][]string) {
	if len(r.cfg.Stages) == 0 {
		r.add("stage", "is missing", "say by a [[stage]] what is to be run; config.example.toml has one")
		return
	}
	var names, used []string
	understood := true // so that a misspelt list of inputs is one mistake
	for i, s := range r.cfg.Stages {
		path := fmt.Sprintf("stage[%d]", i)
		r.checkName(path, s.Name, slices.Contains(names, s.Name))
		names = append(names, s.Name)
		used = append(used, s.Inputs...)
		understood = understood && !r.broken[path+".inputs"]
		r.checkInputs(path+".inputs", s.Inputs, products)
		r.checkCommand(path, s)
		r.oneOf(path+".results", s.Results, defaultResults, "presto")
		if problem, want := outputDirProblem(s, products); problem != "" {
			r.add(path+".output_dir", problem, want)
		}
		r.checkResources(path, s)
	}
	for i, p := range r.cfg.Products {
		if understood && p.Name != "" && !slices.Contains(used, p.Name) {
			r.add(fmt.Sprintf("product[%d]", i), "is an input of no stage, so its files would wait for ever",
				fmt.Sprintf("add %q to the inputs of a stage, or remove the product", p.Name))
		}
	}
}

func (r *report) checkInputs(path string, inputs []string, products map[string][]string) {
	if len(inputs) == 0 {
		r.add(path, "is missing", "list the products that it works on, as "+exampleList(products))
	}
	if len(products) == 0 {
		return // which has had its mistake
	}
	for i, input := range inputs {
		if _, ok := products[input]; !ok {
			want := "use some of " + quoted(slices.Sorted(maps.Keys(products)))
			if like := nearest(input, slices.Collect(maps.Keys(products))); like != "" {
				want = "did you mean " + like + "?"
			}
			r.add(path, fmt.Sprintf("has %q, which is no product", input), want)
		}
		if slices.Contains(inputs[:i], input) {
			r.add(path, fmt.Sprintf("has %q twice", input), "name each product once")
		}
	}
}

func exampleList(products map[string][]string) string {
	if len(products) == 0 {
		return `["mock"]`
	}
	return "[" + quoted(slices.Sorted(maps.Keys(products))) + "]"
}

func (r *report) checkCommand(path string, s Stage) {
	if len(s.Command) == 0 || s.Command[0] == "" {
		r.add(path+".command", "is missing", `give the program and its arguments, as ["longhaul", "quicklook"]`)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		switch {
		case !spelled(name, letters+"_", letters+digits+"_"):
			r.add(path+".env", fmt.Sprintf("has %q, which is no name of a variable", name), "use letters, digits and _")
		case name == "DATAFILES" || name == "OUTDIR" || strings.HasPrefix(name, envPrefix):
			r.add(path+".env", fmt.Sprintf("has %s, which the pooler sets itself", name), "use another name")
		}
	}
}
