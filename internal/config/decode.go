package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// decode fills the configuration from the tables of the file. It goes on after
// each mistake, so that one reading finds them all.
func (r *reader) decode(raw map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		switch field, ok := setting(reflect.ValueOf(r.cfg).Elem(), name); {
		case !ok:
			r.unknownSection(name, raw[name])
		case field.Kind() == reflect.Slice:
			r.decodeEntries(field, raw[name], name)
		default:
			r.decodeSection(field, raw[name], name)
		}
	}
}

func (r *reader) decodeSection(section reflect.Value, raw any, name string) {
	table, ok := raw.(map[string]any)
	if !ok {
		r.fail(name, "is "+describe(raw)+", not a section", "write ["+name+"] and its settings below")
		return
	}
	r.decodeTable(section, table, name)
}

// decodeEntries reads the tables of [[product]] or [[stage]].
func (r *reader) decodeEntries(list reflect.Value, raw any, name string) {
	entries, ok := raw.([]map[string]any)
	if !ok {
		r.fail(name, "is "+describe(raw)+", not a list of tables", "write [["+name+"]], in two brackets, above each of them")
		return
	}
	list.Set(reflect.MakeSlice(list.Type(), len(entries), len(entries)))
	for i, entry := range entries { // the names first: messages call an entry by its name
		text, _ := entry["name"].(string)
		list.Index(i).FieldByName("Name").SetString(text)
	}
	for i, entry := range entries {
		r.decodeTable(list.Index(i), entry, fmt.Sprintf("%s[%d]", name, i))
	}
}

// decodeTable reads the settings of one section or entry.
func (r *reader) decodeTable(table reflect.Value, raw map[string]any, path string) {
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		field, known := setting(table, key)
		secret, isFile := secretOfFile(table, key)
		r.cfg.origin.inFile[path+"."+key] = true
		switch {
		case known:
			r.decodeValue(field, raw[key], path+"."+key)
			if isSecret(field) && field.String() != "" {
				r.inline = append(r.inline, path+"."+key)
			}
		case isFile:
			var file string
			r.decodeValue(reflect.ValueOf(&file).Elem(), raw[key], path+"."+key)
			r.secretFiles[path+"."+secret] = file
		default:
			r.unknownKey(table, path, key)
		}
	}
}

// secretOfFile returns the secret to which a key such as "password_file" belongs.
func secretOfFile(table reflect.Value, key string) (secret string, ok bool) {
	secret, ok = strings.CutSuffix(key, "_file")
	if !ok {
		return "", false
	}
	field, known := setting(table, secret)
	return secret, known && isSecret(field)
}

// decodeValue sets a setting, or tells what is wrong with its value.
func (r *reader) decodeValue(field reflect.Value, raw any, path string) {
	problem, want := assign(field, raw, path)
	if problem != "" {
		r.fail(path, problem, want)
	}
}

// assign sets a setting to a value from TOML. If that cannot be it returns
// what is wrong and what would be right, and leaves the setting alone.
func assign(field reflect.Value, raw any, path string) (problem, want string) {
	switch p := field.Addr().Interface().(type) {
	case *string:
		return assignString(p, raw)
	case *Secret:
		return assignSecret(p, raw)
	case *bool:
		v, ok := raw.(bool)
		if !ok {
			return "is " + describe(raw) + ", not a switch", "write true or false, without quotes"
		}
		*p = v
	case *int:
		return assignInt(p, raw)
	case *float64:
		return assignFloat(p, raw)
	case *Duration:
		return assignDuration(p, raw)
	case *Size:
		return assignSize(p, raw)
	case *[]string:
		if text, ok := raw.(string); ok && path == "email.recipient" {
			raw = []any{text} // one address needs no brackets
		}
		return assignList(p, raw, `write it as ["…", "…"]`)
	case *[]int:
		return assignList(p, raw, "write it as [5, 10, 20]")
	case *map[string]string:
		return assignMap(p, raw, `write it as { NAME = "…" }`)
	case *map[string][]string:
		return assignMap(p, raw, `write it as { group = ["…", "…"] }`)
	default:
		panic(fmt.Sprintf("config: %s has a type that decode does not know: %s", path, field.Type()))
	}
	return "", ""
}
