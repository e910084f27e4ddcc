# SPDX-License-Identifier: GPL-2.0-or-later
# Perl: regular expressions, hashes, sorting, formats, pack, big integers, children.
use strict;
use warnings;
use Math::BigInt;
use Digest::SHA qw(sha256_hex);
my $seed = 4711;
sub rnd { $seed = ($seed * 69069 + 1) & 0xffffffff; return $seed % $_[0]; }
sub show { printf "%s %s\n", $_[0], substr(sha256_hex(join("\0", @_[1 .. $#_])), 0, 16); }
my @words = map { join '', map { chr 97 + rnd(9) } 1 .. 2 + rnd(8) } 1 .. 80000;
my $text = join ' ', @words;
show('sort', sort @words);
show('numeric', sort { length($a) <=> length($b) || $b cmp $a } @words);
my %count;
$count{substr $_, 0, 3}++ for @words;
show('hash', map { "$_=$count{$_}" } sort keys %count);
for my $p (qr/(\w)\1/, qr/\b(?:ab|c[de])+\w*/, qr/(?<=a)b(?!c)/, qr/(\w)(\w)\2\1/) {
	my ($n, $at) = (0, 0);
	while ($text =~ /$p/g) { $n++; $at = ($at * 31 + pos $text) % 1000003; }
	print "$p $n $at\n";
}
(my $t = $text) =~ s/(\w+) (\w+)/\u$2-\L$1/g;
$t =~ tr{a-i}{h-p};
show('replace', $t);
my @floats;
my $x = 0.7;
for my $i (1 .. 200000) {
	$x = sin($x) * sqrt($i) + exp(-abs $x) + atan2($x, $i);
	push @floats, sprintf('%.17g %e %a', $x, $x, $x) unless $i % 100;
}
show('floats', @floats);
show('pack', map { unpack 'H*', pack 'w n N v V q d f Z8', $_, $_ & 0xffff, $_, $_ & 0xffff, $_, -$_, $_ / 7, $_ / 3, "z$_" } map { rnd(1 << 30) } 1 .. 5000);
show('bigint', Math::BigInt->new(7)->bpow(2000)->bmod(Math::BigInt->new(2)->bpow(521)->bsub(1)));
my @kids;
for my $i (1 .. 60) {
	my $pid = open(my $h, '-|') // die;
	if (!$pid) { print "child $i ", $i ** 3, "\n"; exit $i; }
	push @kids, <$h>;
	close $h;
	push @kids, $? >> 8;
}
show('children', @kids);
