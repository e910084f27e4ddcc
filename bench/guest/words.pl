# SPDX-License-Identifier: GPL-2.0-or-later
# Perl of the everyday kind: regular expressions, hashes, sorting, string building. Reads a text.
use strict;
my (%count, %first, $out);
my $n = 0;
while (my $line = <STDIN>) {
	$n++;
	while ($line =~ /([a-z]+)(,?)/gi) {
		my $w = lc $1;
		$count{$w}++;
		$first{$w} //= $n;
		$count{"$w,"}++ if $2;
	}
	$line =~ s/([aeiou])([a-z])/$2$1/g;
	$out .= substr($line, 0, 20) if $line =~ /^(?:Sta|Pr|Ba).*?(\w+)er\b/;
}
for my $w (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count) {
	print "$w $count{$w} ", $first{$w} // "-", "\n";
}
print length($out // ""), " ", unpack("%32C*", $out // ""), "\n";
