import sys,re,collections
txt=open('/tmp/b/perf3.txt').read().split('\n\n')
tot=0; inc=collections.Counter(); byc=collections.Counter()
want=sys.argv[1] if len(sys.argv)>1 else ''
for s in txt:
    L=s.strip().split('\n')
    if len(L)<2: continue
    comm=L[0].split()[0]
    m=re.search(r'(\d+)\s+cpu-clock|(\d+)\s+task-clock',L[0])
    byc[comm]+=1; tot+=1
    if want and want not in comm: continue
    seen=set()
    for l in L[1:]:
        p=l.strip().split(' ',1)
        if len(p)<2: continue
        f=re.sub(r'\+0x[0-9a-f]+.*','',p[1])
        seen.add(f)
    for f in seen: inc[f]+=1
print(tot,byc.most_common(5))
for f,c in inc.most_common(130): print(f"{100*c/tot:.2f} {f[:150]}")
