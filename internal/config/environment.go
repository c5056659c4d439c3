package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// envPrefix begins the name of every variable that holds a setting.
const envPrefix = "LONGHAUL_"

// applyEnvironment takes the settings that are in LONGHAUL_<SECTION>_<KEY>.
// A variable of one of our sections that is no setting is a mistake, as it is
// in the file; other variables are not ours to judge.
func (r *reader) applyEnvironment() {
	for _, name := range slices.Sorted(maps.Keys(r.environ)) {
		ours, ok := strings.CutPrefix(name, envPrefix)
		if !ok {
			continue
		}
		for section, table := range sections(r.cfg) {
			if key, ok := strings.CutPrefix(ours, strings.ToUpper(section)+"_"); ok {
				r.applyVariable(name, table, section, strings.ToLower(key))
			}
		}
	}
}

func (r *reader) applyVariable(name string, table reflect.Value, section, key string) {
	path := section + "." + key
	r.cfg.origin.elsewhere[path] = place{file: "$" + name}
	delete(r.broken, path) // whatever the file says is not used
	field, known := setting(table, key)
	secret, isFile := secretOfFile(table, key)
	switch {
	case known:
		r.decodeValue(field, fromEnvironment(field, r.environ[name]), path)
	case isFile:
		r.secretFiles[section+"."+secret] = r.environ[name]
	default:
		r.unknownKey(table, section, key)
	}
}

// fromEnvironment turns a variable's text into the value that TOML would have.
// Text, time spans and sizes need no quotes there; lists are written as in TOML.
func fromEnvironment(field reflect.Value, text string) any {
	switch field.Interface().(type) {
	case bool, int, float64, []int:
	case []string:
		if !strings.HasPrefix(text, "[") {
			return text
		}
	default:
		return text
	}
	var raw map[string]any
	if _, err := toml.Decode("value = "+text, &raw); err != nil || len(raw) != 1 {
		return text
	}
	return raw["value"]
}
