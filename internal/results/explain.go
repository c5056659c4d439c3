package results

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxFaults is how many places one message names.
const maxFaults = 5

// nameRule says what the schema's pattern for names means.
const nameRule = "a name starts with a lower-case letter and goes on with lower-case letters, digits and _, at most 63 in all"

// explain turns what the schema found wrong into sentences that name the place
// and what would be right there.
func explain(err error) error {
	var top *jsonschema.ValidationError
	if !errors.As(err, &top) {
		return err
	}
	faults := leaves(top, nil)
	slices.SortStableFunc(faults, func(a, b *jsonschema.ValidationError) int {
		return slices.CompareFunc(a.InstanceLocation, b.InstanceLocation, cmp.Compare[string])
	})
	var lines []string
	for _, f := range faults[:min(len(faults), maxFaults)] {
		lines = append(lines, pointer(f.InstanceLocation)+": "+sentence(f))
	}
	if more := len(faults) - maxFaults; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(lines, "; "))
}

// leaves are the errors that are not made of others.
func leaves(e *jsonschema.ValidationError, to []*jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return append(to, e)
	}
	for _, c := range e.Causes {
		to = leaves(c, to)
	}
	return to
}

// sentence covers every keyword that results.schema.json uses; a test says so.
func sentence(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return fmt.Sprintf("is of type %s, must be %s", k.Got, strings.Join(k.Want, ", "))
	case *kind.Const:
		return fmt.Sprintf("is %q, must be %q", cut(fmt.Sprint(k.Got)), k.Want)
	case *kind.Required:
		return "lacks " + quoted(k.Missing)
	case *kind.AdditionalProperties:
		if isColumns(e.InstanceLocation) {
			return fmt.Sprintf("%s cannot be a column: %s", quoted(k.Properties), nameRule)
		}
		return "unknown key " + quoted(k.Properties)
	case *kind.Pattern:
		return fmt.Sprintf("%q cannot be a table: %s", cut(k.Got), nameRule)
	case *kind.MinItems:
		return fmt.Sprintf("has %d elements, must have at least %d", k.Got, k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("has %d columns, must have at least %d", k.Got, k.Want)
	case *kind.MinLength:
		return "is empty, must name a file beneath the output directory"
	case *kind.MaxLength:
		return fmt.Sprintf("has %d characters, at most %d are allowed", k.Got, k.Want)
	default:
		return fmt.Sprintf("does not agree with %s", e.SchemaURL)
	}
}

// isColumns reports whether a place is an object whose keys are columns.
func isColumns(path []string) bool {
	if len(path) == 0 {
		return false
	}
	switch path[len(path)-1] {
	case "values", "blobs", "refs":
		return true
	}
	return false
}

// quoted lists foreign names, not too many of them.
func quoted(names []string) string {
	names = slices.Sorted(slices.Values(names))
	var out []string
	for _, n := range names[:min(len(names), maxFaults)] {
		out = append(out, fmt.Sprintf("%q", cut(n)))
	}
	if more := len(names) - maxFaults; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}
