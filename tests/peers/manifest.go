// Judges a manifest with Go's own reading of the formats: golang.org/x/mod/sumdb/note and tlog.
//
//	manifest folder KEY FOLDER   signature, every tile and entry, proofs between two sizes
//	manifest proof KEY FILE      a .tlog-proof with an entry in it
//
// KEY is a verifier key of the log, or several with commas between them: the first is followed
// through the entries that change the key, the others are those of epochs.
package main

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8 // levels of the tree in one tile

// p256 is the kind of key that note leaves to others: type 2, ECDSA over SHA-256.
type p256 struct {
	name string
	hash uint32
	key  *ecdsa.PublicKey
}

func (k p256) Name() string    { return k.name }
func (k p256) KeyHash() uint32 { return k.hash }
func (k p256) Verify(text, signature []byte) bool {
	digest := sha256.Sum256(text)
	return ecdsa.VerifyASN1(k.key, digest[:], signature)
}

func verifier(key string) note.Verifier {
	name, rest, _ := strings.Cut(key, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	raw := must(base64.StdEncoding.DecodeString(encoded))
	if raw[0] != 2 {
		return must(note.NewVerifier(key))
	}
	digest := sha256.Sum256(raw[1:])
	if fmt.Sprintf("%x", digest[:4]) != id {
		log.Fatal("the key id is of another key")
	}
	public := must(x509.ParsePKIXPublicKey(raw[1:])).(*ecdsa.PublicKey)
	return p256{name, binary.BigEndian.Uint32(digest[:4]), public}
}

// parsed reads a checkpoint, its signatures not looked at.
func parsed(text string) (origin string, tree tlog.Tree, more []string) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	size := must(strconv.ParseInt(lines[1], 10, 64))
	return lines[0], tlog.Tree{N: size, Hash: must(tlog.ParseHash(lines[2]))}, lines[3:]
}

// opened reads a checkpoint that each of these keys signed.
func opened(data string, keys ...string) (tlog.Tree, []string) {
	var verifiers []note.Verifier
	for _, key := range keys {
		verifiers = append(verifiers, verifier(key))
	}
	signed := must(note.Open([]byte(data), note.VerifierList(verifiers...)))
	origin, tree, more := parsed(signed.Text)
	for _, one := range verifiers {
		if origin != one.Name() {
			log.Fatalf("of %s, not of %s", origin, one.Name())
		}
	}
	if len(signed.Sigs) != len(keys) {
		log.Fatal("not signed by all of them")
	}
	return tree, more
}

// change is an entry that changes the key; of others nothing is set.
type change struct{ Kind, Old, New, Handover, Last string }

// follow gives the key after an entry. before is the root of the entries before it, if it is known.
func follow(current string, held []string, entry change, index int64, before *tlog.Hash) string {
	var tree tlog.Tree
	var more []string
	switch entry.Kind {
	case "key-rotated":
		tree, more = opened(entry.Handover, entry.Old, entry.New)
		if len(more) != 1 || more[0] != "next-key "+entry.New {
			log.Fatal("another key was vouched for")
		}
	case "key-lost":
		tree, more = opened(entry.Last, entry.Old)
		if !slicesContain(held, entry.New) {
			log.Fatalf("an epoch under %s", entry.New)
		}
	default:
		return current
	}
	if entry.Old != current || (before != nil && (tree.N != index || tree.Hash != *before)) {
		log.Fatalf("the key of entry %d does not follow", index)
	}
	return entry.New
}

func slicesContain(all []string, wanted string) bool {
	for _, one := range all {
		if one == wanted {
			return true
		}
	}
	return false
}

// tiles reads the tiles of a folder; C2SP leaves the height out of their names.
type tiles struct{ folder string }

func (t tiles) Height() int                         { return height }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(t.folder, name(tile)))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func name(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
}

// entries reads every bundle: each entry after its length in two bytes.
func entries(folder string, size int64) [][]byte {
	var all [][]byte
	for first := int64(0); first < size; first += 1 << height {
		tile := tlog.Tile{H: height, L: 0, N: first >> height, W: 1 << height}
		if size-first < 1<<height {
			tile.W = int(size - first)
		}
		path := strings.Replace(name(tile), "tile/0/", "tile/entries/", 1)
		for data := must(os.ReadFile(filepath.Join(folder, path))); len(data) > 0; {
			end := 2 + int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:end])
			data = data[end:]
		}
	}
	return all
}

func folder(key, path string) {
	held := strings.Split(key, ",")
	current, signed := held[0], string(must(os.ReadFile(filepath.Join(path, "checkpoint"))))
	_, tree, _ := parsed(signed[:strings.LastIndex(signed, "\n\n")+1])
	hashes := tlog.TileHashReader(tree, tiles{path}) // refuses tiles that the root does not have
	all := entries(path, tree.N)
	if int64(len(all)) != tree.N {
		log.Fatalf("%d entries, not %d", len(all), tree.N)
	}
	for index, entry := range all {
		number := int64(index)
		stored := must(hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, number)}))
		if stored[0] != tlog.RecordHash(entry) {
			log.Fatalf("entry %d is not that of its tile", index)
		}
		proof := must(tlog.ProveRecord(tree.N, number, hashes))
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, number, stored[0]))
		old := number + 1
		before := must(tlog.TreeHash(old, hashes))
		var told change
		check(json.Unmarshal(entry, &told))
		until := must(tlog.TreeHash(number, hashes))
		current = follow(current, held, told, number, &until)
		consistent := must(tlog.ProveTree(tree.N, old, hashes))
		check(tlog.CheckTree(consistent, tree.N, tree.Hash, old, before))
	}
	opened(signed, current)
	fmt.Println(tree.N, "entries")
}

func proof(key, path string) {
	head, signed, _ := strings.Cut(string(must(os.ReadFile(path))), "\n\n")
	lines := strings.Split(head, "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		log.Fatal("no proof")
	}
	var told struct {
		Entry json.RawMessage // the bytes as they stand there
		Keys  []change
	}
	extra := strings.TrimPrefix(lines[1], "extra ")
	check(json.Unmarshal(must(base64.StdEncoding.DecodeString(extra)), &told))
	for _, entry := range told.Keys {
		if entry.Old == key {
			key = follow(key, nil, entry, 0, nil)
		}
	}
	tree, _ := opened(signed, key)
	index := must(strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64))
	var steps tlog.RecordProof
	for _, line := range lines[3:] {
		steps = append(steps, must(tlog.ParseHash(line)))
	}
	check(tlog.CheckRecord(steps, tree.N, tree.Hash, index, tlog.RecordHash(told.Entry)))
	fmt.Println("entry", index, "of", tree.N)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("folder|proof KEY PATH")
	}
	map[string]func(string, string){"folder": folder, "proof": proof}[os.Args[1]](os.Args[2], os.Args[3])
}
