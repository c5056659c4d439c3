package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
)

func TestDurationReadsGoSyntaxAndDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"60s": time.Minute, "1h30m": 90 * time.Minute, "0": 0, "0s": 0, "250ms": 250 * time.Millisecond,
		"2d": 48 * time.Hour, "1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour, "0d": 0, "106751d": 106751 * 24 * time.Hour,
	} {
		if got, err := ParseDuration(text); err != nil || got.Std() != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "60", "s", "d", "-1s", "-0s", "1d-1h", "-2d", "1d1d", "infd", "nand", "1e3d", ".d",
		"106752d", "9999999999d", "106751d24h", "2562048h", "1 h", "1h 30m", "1w"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func TestDurationPrintsShortAndReadsBack(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 45 * time.Second: "45s", time.Minute: "1m", 30 * time.Minute: "30m", 6 * time.Hour: "6h",
		90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 48 * time.Hour: "48h",
		1500 * time.Millisecond: "1.5s", math.MaxInt64: "2562047h47m16.854775807s",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%d ns prints as %q, want %q", d, got, want)
		}
		if back, err := ParseDuration(want); err != nil || back.Std() != d {
			t.Errorf("%q reads back as %d ns, %v; want %d", want, back, err, d)
		}
	}
}

func TestSizeReadsUnitsAndFractions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{
		"0": 0, "0B": 0, "1B": 1, "1kB": 1000, "1MB": 1e6, "1GB": 1e9, "1TB": 1e12, "1KiB": 1 << 10, "1MiB": 1 << 20,
		"60GiB": 60 << 30, "1TiB": 1 << 40, "1.5TiB": 3 << 39, "60 GiB": 60 << 30, "0.3KiB": 307, "1.1kB": 1100,
		"9223372036854775807B": math.MaxInt64, "8388607.5TiB": math.MaxInt64 - 1<<39 + 1,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "B", "GB", ".GB", "5", "5gb", "5Gb", "5KB", "-5GB", "+5GB", "5e3B", "1/2GB", "0x5B", "1_0B", "1.2.3MB", "5 GB ",
		"infB", "9223372036854775808B", "8388608TiB", "99999999999999999999999999999999GB", "5GBGB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestSizePrintsInTheLargestUnitAndReadsBack(t *testing.T) {
	t.Parallel()
	for s, want := range map[Size]string{
		0: "0B", 1: "1B", 1000: "1kB", 1024: "1KiB", 1500: "1500B", 500e6: "500MB", 60 << 30: "60GiB", 2e12: "2TB",
		1e12 * 1 << 10: "1024TB", math.MaxInt64: "9223372036854775807B",
	} {
		if got := s.String(); got != want {
			t.Errorf("%d prints as %q, want %q", int64(s), got, want)
		}
		if back, err := ParseSize(want); err != nil || back != s {
			t.Errorf("%q reads back as %d, %v; want %d", want, back, err, s)
		}
	}
}

func TestDurationAndSizeAreTextToOtherPackages(t *testing.T) {
	t.Parallel()
	var v struct {
		D Duration
		S Size
	}
	if err := json.Unmarshal([]byte(`{"D":"2d","S":"5GiB"}`), &v); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(v); err != nil || string(got) != `{"D":"48h","S":"5GiB"}` {
		t.Errorf("marshalled as %s, %v", got, err)
	}
	for _, wrong := range []string{`{"D":"x"}`, `{"S":"x"}`} {
		if json.Unmarshal([]byte(wrong), &v) == nil {
			t.Errorf("%s was accepted", wrong)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2"
	v := struct {
		Password Secret `toml:"password"`
		Pointer  *Secret
		List     []Secret
	}{Password: hidden, List: []Secret{hidden}}
	v.Pointer = &v.Password
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%t"} {
		fmt.Fprintf(&b, verb+"\n", v.Password)
		fmt.Fprintf(&b, verb+"\n", v)
	}
	fmt.Fprintln(&b, v.Password, v, fmt.Sprint(v.Password), fmt.Errorf("wrong: %s", v.Password))
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := toml.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "password", v.Password, "all", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "password", v.Password, "all", v)
	hex := fmt.Sprintf("%x", hidden)
	if out := b.String(); strings.Contains(out, hidden) || strings.Contains(strings.ToLower(out), hex) {
		t.Errorf("the secret is in\n%s", out)
	}
	if n := strings.Count(b.String(), "[secret]"); n < 30 {
		t.Errorf("[secret] stands for it only %d times in\n%s", n, b.String())
	}
	if v.Password.Reveal() != hidden {
		t.Error("Reveal does not return the secret")
	}
	if v.Password.GoString() != "[secret]" {
		t.Error("GoString does not hide it")
	}
	if s := fmt.Sprintf("%s%v%#v", Secret(""), Secret(""), Secret("")); s != "" {
		t.Errorf("no secret prints as %q, want nothing", s)
	}
}
