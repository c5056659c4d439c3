package results

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"longhaul/schema"
)

const (
	// ManifestName is the file that a Manifest reads.
	ManifestName = "results.json"
	// ManifestFormat is the value of its key "format".
	ManifestFormat = "longhaul-results-1"
	// MaxManifest bounds its size, bytes.
	MaxManifest = 64 << 20
	// DefaultMaxBlob bounds each file that it names, bytes, unless another
	// limit is set.
	DefaultMaxBlob = 1 << 30
)

// Manifest reads the results.json that a job of any survey can write. Its form
// is that of schema/results.schema.json. Safe for concurrent use.
type Manifest struct {
	schema  *jsonschema.Schema
	maxBlob int64
}

var _ Reader = (*Manifest)(nil)

// NewManifest returns a reader that takes files of at most maxBlob bytes each;
// 0 means DefaultMaxBlob.
func NewManifest(maxBlob int64) (*Manifest, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.ResultsSchema))
	if err != nil {
		return nil, fmt.Errorf("results schema: %w", err)
	}
	const at = "urn:longhaul:results-1"
	c := jsonschema.NewCompiler()
	if err := c.AddResource(at, doc); err != nil {
		return nil, fmt.Errorf("results schema: %w", err)
	}
	s, err := c.Compile(at)
	if err != nil {
		return nil, fmt.Errorf("results schema: %w", err)
	}
	if maxBlob <= 0 {
		maxBlob = DefaultMaxBlob
	}
	return &Manifest{s, maxBlob}, nil
}

// Read reads results.json in src.Dir and takes the digest of every file that
// it names. Nothing else in src is used.
func (m *Manifest) Read(ctx context.Context, src Source) ([]Record, error) {
	path := filepath.Join(src.Dir, ManifestName)
	data, err := ReadFile(ctx, src.Dir, ManifestName, MaxManifest)
	if err != nil {
		return nil, err
	}
	doc, err := m.parse(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, path, err)
	}
	b := builder{ctx: ctx, dir: src.Dir, maxBlob: m.maxBlob, seen: make(map[string]Blob)}
	records, err := b.records(doc["records"].([]any), "/records")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return records, nil
}

// parse returns the document, which then has the form of the schema.
func (m *Manifest) parse(data []byte) (map[string]any, error) {
	v, err := decodeStrict(data)
	if err != nil {
		return nil, err
	}
	if err := m.schema.Validate(v); err != nil {
		return nil, explain(err)
	}
	return v.(map[string]any), nil
}

// builder turns a document that has passed the schema into records.
type builder struct {
	ctx     context.Context
	dir     string
	maxBlob int64
	seen    map[string]Blob // files whose digest is known already
}

func (b *builder) records(list []any, at string) ([]Record, error) {
	out := make([]Record, len(list))
	for i, v := range list {
		var err error
		if out[i], err = b.record(v.(map[string]any), at+"/"+strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *builder) record(obj map[string]any, at string) (Record, error) {
	r := Record{Table: obj["table"].(string), Values: obj["values"].(map[string]any)}
	if err := onceOnly(obj, at); err != nil {
		return Record{}, err
	}
	if blobs, ok := obj["blobs"].(map[string]any); ok {
		r.Blobs = make(map[string]Blob, len(blobs))
		for _, col := range slices.Sorted(maps.Keys(blobs)) {
			blob, err := b.blob(blobs[col].(string))
			if err != nil {
				return Record{}, fmt.Errorf("%s/blobs/%s: %w", at, col, err)
			}
			r.Blobs[col] = blob
		}
	}
	if refs, ok := obj["refs"].(map[string]any); ok {
		r.Refs = make(map[string]Record, len(refs))
		for _, col := range slices.Sorted(maps.Keys(refs)) {
			ref, err := b.record(refs[col].(map[string]any), at+"/refs/"+col)
			if err != nil {
				return Record{}, err
			}
			r.Refs[col] = ref
		}
	}
	if children, ok := obj["children"].([]any); ok {
		var err error
		if r.Children, err = b.records(children, at+"/children"); err != nil {
			return Record{}, err
		}
	}
	return r, nil
}

// onceOnly refuses a record that gives a column as a value and as a blob or a
// reference too.
func onceOnly(obj map[string]any, at string) error {
	first := make(map[string]string)
	for _, part := range []string{"values", "blobs", "refs"} {
		cols, _ := obj[part].(map[string]any)
		for _, col := range slices.Sorted(maps.Keys(cols)) {
			if other, ok := first[col]; ok {
				return fmt.Errorf("%w: %s/%s/%s: the column is under %s too; give it once", ErrInvalid, at, part, col, other)
			}
			first[col] = part
		}
	}
	return nil
}

func (b *builder) blob(name string) (Blob, error) {
	if blob, ok := b.seen[name]; ok {
		return blob, nil
	}
	blob, err := FileBlob(b.ctx, b.dir, name, b.maxBlob)
	if err != nil {
		return Blob{}, err
	}
	b.seen[name] = blob
	return blob, nil
}
