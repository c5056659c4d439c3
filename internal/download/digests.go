package download

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"longhaul/internal/archive"
)

// digests are the checksums of a file as it goes by: ours, and the archive's.
type digests struct {
	own     hash.Hash // SHA-256
	offered hash.Hash // nil if the archive offers none
	want    string    // hex, as offered
}

// newDigests prepares for a checksum as the archive offers it, "" for none.
func newDigests(checksum string) (*digests, error) {
	s := &digests{own: sha256.New()}
	if checksum == "" {
		return s, nil
	}
	h, want, err := archive.NewHash(checksum)
	if err != nil {
		return nil, err
	}
	s.offered, s.want = h, want
	return s, nil
}

// Write never fails.
func (s *digests) Write(p []byte) (int, error) {
	s.own.Write(p)
	if s.offered != nil {
		s.offered.Write(p)
	}
	return len(p), nil
}

// check compares the archive's checksum with that of the bytes that went by.
func (s *digests) check() error {
	if s.offered == nil {
		return nil
	}
	if got := hex.EncodeToString(s.offered.Sum(nil)); got != s.want {
		return fmt.Errorf("checksum is %s, the archive says %s", got, s.want)
	}
	return nil
}

// digest is what the tracker keeps of a verified file.
func (s *digests) digest() string { return "sha256:" + hex.EncodeToString(s.own.Sum(nil)) }
